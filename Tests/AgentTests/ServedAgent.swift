/// An agent served within the test's process, and a caller on it.

import Calls
import Logging
import NIOCore
import NIOPosix
import Notation
import Seedbox
import TestSupport
import Transmission
import Wire

@testable import Agent

struct ServedAgent {
    let core: AgentCore

    /// Nothing listens at the default address.
    init(
        _ configuration: AgentConfiguration = AgentConfiguration(),
        account: Account? = nil,
        state: StateDirectory? = nil,
        timing: WatcherTiming? = nil,
        proc: String = "/proc",
        launch: @escaping Programs.Launch = ChildProcess.start
    ) {
        var configuration = configuration
        if configuration.rpc == RPCConfiguration() { configuration.rpc = RPCConfiguration(url: "http://127.0.0.1:1")! }
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        core = AgentCore(
            configuration,
            account: account,
            state: state,
            group: MultiThreadedEventLoopGroup.singleton,
            logger: logger,
            timing: timing,
            proc: proc,
            launch: launch
        )
    }

    /// Watches a real daemon, and looks every tenth of a second instead of every two, and so on.
    init(
        watching daemon: TransmissionDaemon,
        account: Account? = nil,
        state: StateDirectory? = nil,
        cold: Int64 = 300,
        unwatched: Int64 = 1500,
        session: Int64 = 500
    ) throws {
        var configuration = AgentConfiguration()
        configuration.rpc = daemon.configuration
        configuration.rpc.replyDeadline = .seconds(5)
        configuration.transmissionRemote = try daemon.release.path("transmission-remote")
        var timing = WatcherTiming()
        timing.watched = 100
        timing.fresh = 300
        timing.unwatched = unwatched
        timing.cold = cold
        timing.coldUnwatched = max(cold, timing.coldUnwatched)
        timing.session = session
        timing.retry = 100
        timing.retryUnauthorized = 100
        timing.busy = 500
        self.init(configuration, account: account, state: state, timing: timing)
    }

    /// Runs `body` with a connection of that role; the watch on Transmission runs meanwhile.
    func withConnection<Success: Sendable>(
        _ role: Role = .control,
        epoch: Int64? = nil,
        credit: Int = Hello.defaultCredit,
        _ body: @escaping @Sendable (CallConnection) async throws -> Success
    ) async throws -> Success {
        let (outside, inside) = PipeByteStream.pair()
        let connection = CallConnection(
            stream: outside,
            hello: Hello(software: "test", credit: credit, epoch: epoch),
            side: .caller
        )
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await core.run() }
            group.addTask { await core.serve(inside, as: role) }
            group.addTask { try? await connection.run() }
            defer { group.cancelAll() }
            let result: Result<Success, any Error>
            do { result = .success(try await body(connection)) } catch { result = .failure(error) }
            await connection.close()
            return try result.get()
        }
    }
}

/// Everything that a call of `exec` brings.
struct Execution: Sendable {
    var output = ""
    var errors = ""
    var reply: Value

    init(
        _ connection: CallConnection,
        _ argv: [String],
        input: String? = nil,
        key: String? = nil
    ) async throws {
        var arguments: [String: Value] = ["argv": .array(argv.map { .string($0) })]
        if let key { arguments["key"] = .string(key) }
        let call = try await connection.open("exec", .map(arguments))
        if let input {
            // The program may be gone before it has read anything.
            try? await call.send(ByteBuffer(string: input), lane: 0)
        }
        try? await call.end(lane: 0)
        for await event in call.events {
            switch event {
            case .data(1, let bytes): output += String(buffer: bytes)
            case .data(2, let bytes): errors += String(buffer: bytes)
            default: break
            }
        }
        reply = try await call.result()
    }
}
