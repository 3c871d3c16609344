/// Carries out `exec`: one program a call, its standard streams on the call's lanes.

import Calls
import Glibc
import NIOCore
import NIOPosix
import Notation
import Seedbox
import Synchronization
import Transmission

final class Programs: Sendable {
    private let policy: ProgramPolicy
    private let limits: AgentConfiguration.ExecLimits
    private let account: Account?
    private let group: any EventLoopGroup
    private let launch: Launch
    private let running = Mutex(0)

    /// Starts a program: path, arguments with the program's name, environment.
    typealias Launch = @Sendable (String, [String], [String]) throws(ChildProcess.Failure) -> ChildProcess

    init(
        _ configuration: AgentConfiguration,
        rpc: RPCConfiguration,
        account: Account?,
        group: any EventLoopGroup,
        launch: @escaping Launch = ChildProcess.start
    ) {
        self.launch = launch
        policy = ProgramPolicy(configuration, rpc: rpc)
        limits = configuration.exec
        self.account = account
        self.group = group
    }

    /// Returns `{status}` or `{signal}` when the program has ended and its output is sent.
    func run(_ call: IncomingCall) async throws -> Value {
        guard let argv = call.arguments["argv"]?.array?.map(\.string), !argv.contains(nil) else {
            throw Problem(.badRequest, "`argv` must be an array of texts.")
        }
        let plan = try policy.plan(argv.compactMap(\.self)) { access($0, X_OK) == 0 }
        let isFree = running.withLock { running in
            guard running < limits.count else { return false }
            running += 1
            return true
        }
        guard isFree else {
            throw Problem(
                .refused,
                "\(limits.count) programs run at the same time already. Try again when one has ended."
            )
        }
        defer { running.withLock { $0 -= 1 } }
        try Task.checkCancellation()
        let child: ChildProcess
        do {
            child = try launch(
                plan.path,
                [plan.path] + plan.arguments,
                limits.environment.entries(for: plan.isTrusted ? account : nil)
            )
        } catch {
            throw Problem(
                error.number == ENOENT || error.number == EACCES ? .programMissing : .agentFailed,
                error.message
                    + (error.number == EMFILE || error.number == ENFILE ? " Too much is open; try again." : "")
            )
        }
        let outcome = Outcome()
        // Whatever happens from here on, the program is waited for and collected.
        let result = await withTaskCancellationHandler {
            await attend(child, call, outcome)
        } onCancel: {
            child.end()
        }
        if let problem = outcome.problem { throw problem }
        try Task.checkCancellation()
        return switch result {
        case .status(let status): ["status": .int(Int64(status))]
        case .signal(let signal): ["signal": .int(Int64(signal))]
        }
    }

    /// The first reason for ending a program before it ended by itself.
    private final class Outcome: Sendable {
        private let state = Mutex<(problem: Problem?, output: Int64)>((nil, 0))

        var problem: Problem? { state.withLock(\.problem) }

        func note(_ problem: Problem) { state.withLock { $0.problem = $0.problem ?? problem } }

        func count(_ bytes: Int) -> Int64 {
            state.withLock { state in
                state.output += Int64(bytes)
                return state.output
            }
        }
    }

    private func attend(_ child: ChildProcess, _ call: IncomingCall, _ outcome: Outcome) async -> ChildProcess.Ending {
        let input = await stream(child.pipes.input) { $0.takingOwnershipOfDescriptor(output: $1) }
        let output = await stream(child.pipes.output) { $0.takingOwnershipOfDescriptor(input: $1) }
        let errors = await stream(child.pipes.errors) { $0.takingOwnershipOfDescriptor(input: $1) }
        if input == nil || output == nil || errors == nil {
            outcome.note(
                Problem(.agentFailed, "The program's pipes could not be opened; the agent may have too much open.")
            )
            child.end()
        }
        let readers = Task {
            await withDiscardingTaskGroup { readers in
                readers.addTask { await self.drain(output, ExecLane.output, call, child, outcome) }
                readers.addTask { await self.drain(errors, ExecLane.errors, call, child, outcome) }
            }
        }
        await withDiscardingTaskGroup { group in
            group.addTask { await self.feed(call, to: input) }
            group.addTask { [limits] in
                guard (try? await Task.sleep(for: .seconds(limits.time))) != nil else { return }
                outcome.note(Problem(.timedOut, "The program ran longer than \(limits.time) seconds and was ended."))
                child.end()
                // A descendant that left the group may hold them open for ever.
                await output?.close()
                await errors?.close()
                // And a caller that takes nothing may hold up the readers.
                readers.cancel()
            }
            await child.exited()
            child.endLeftovers()
            await withTaskCancellationHandler {
                await readers.value
            } onCancel: {
                readers.cancel()
            }
            group.cancelAll()
        }
        for stream in [input, output, errors] { await stream?.close() }
        return child.collect()
    }

    /// Passes on what the program writes, as fast as the caller takes it.
    private func drain(
        _ stream: ChannelByteStream?,
        _ lane: UInt8,
        _ call: IncomingCall,
        _ child: ChildProcess,
        _ outcome: Outcome
    ) async {
        guard let stream else { return }
        var filter = SecretFilter(secrets)
        do {
            while let bytes = try await stream.read() {
                guard outcome.count(bytes.readableBytes) <= limits.output else {
                    outcome.note(
                        Problem(.tooLarge, "The program wrote more than \(limits.output) bytes and was ended.")
                    )
                    child.end()
                    break
                }
                let passed = secrets.isEmpty ? bytes : ByteBuffer(bytes: filter.pass(Array(bytes.readableBytesView)))
                guard passed.readableBytes > 0 else { continue }
                // Most programs say all that they say when they end.
                call.gather()
                try await call.send(passed, lane: lane)
            }
            let rest = filter.finish()
            if !rest.isEmpty { try await call.send(ByteBuffer(bytes: rest), lane: lane) }
            try await call.end(lane: lane)
        } catch {
            // The caller is gone or gave up, and with it the reason for the program; or the pipe broke.
            child.end()
        }
        await stream.close()
    }

    /// Passes on what the caller sends, for as long as the program reads.
    private func feed(_ call: IncomingCall, to stream: ChannelByteStream?) async {
        var open = stream
        for await input in call.inputs {
            switch input {
            case .data(ExecLane.input, let bytes):
                // A program may close its input and go on. What comes after is taken all the same, so that the caller
                // is not left waiting for credit.
                do { try await open?.write(bytes) } catch { open = nil }
            case .end(ExecLane.input):
                await open?.close()
                open = nil
            case .data, .end, .event: break
            }
        }
    }

    /// What must not be seen in any output: `--debug` prints request headers.
    private var secrets: [String] {
        guard let account else { return [] }
        let pair = "\(account.user):\(account.password)"
        return [account.password, pair, Base64.encode(Array(pair.utf8))]
    }

    private func stream(
        _ descriptor: Int32,
        _ take: (NIOPipeBootstrap, Int32) -> EventLoopFuture<any Channel>
    ) async -> ChannelByteStream? {
        let loop = group.next()
        let promise = loop.makePromise(of: ChannelByteStream.self)
        let bootstrap = NIOPipeBootstrap(group: loop)
            .channelInitializer { channel in
                let stream = ChannelByteStream.install(on: channel)
                stream.cascade(to: promise)
                return stream.map { _ in }
            }
        do {
            _ = try await take(bootstrap, descriptor).get()
            return try await promise.futureResult.get()
        } catch {
            promise.fail(error)
            close(descriptor)
            return nil
        }
    }
}
