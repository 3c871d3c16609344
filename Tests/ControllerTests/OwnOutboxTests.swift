/// Jobs without a daemon: kept before anything is sent, sent by the command itself, and left to the next where need be.
import Calls
import Foundation
import Jobs
import Logging
import Notation
import Seedbox
import Store
import Synchronization
import Testing

@testable import Controller

private let one = InfoHash(String(repeating: "a", count: 40))!
private let stop = Change(verb: "torrent.stop", arguments: ["hashes": [.string(one.hex)]], targets: [one])

/// Opens sessions with the test's own agent, while the way is open.
private final class FakeOpener: SessionOpener {
    private let socket: String
    private let state = Mutex((isOpen: true, isStuck: false, tried: 0, opened: 0))

    init(socket: String) { self.socket = socket }

    var tried: Int { state.withLock(\.tried) }
    var opened: Int { state.withLock(\.opened) }

    func set(open: Bool) { state.withLock { $0.isOpen = open } }

    /// From now on an attempt to open the way takes very long.
    func stick() { state.withLock { $0.isStuck = true } }

    func open(_ box: Configuration.Box, of configuration: Configuration, logger: Logger) async throws -> OwnSession {
        let isOpen = state.withLock { state in
            state.tried += 1
            return state.isOpen
        }
        guard isOpen, let connection = try await ControlSocket.connect(socket) else {
            throw Problem(.hostUnreachable, "The host cannot be reached.")
        }
        if state.withLock(\.isStuck) { try await Task.sleep(for: .seconds(60)) }
        state.withLock { $0.opened += 1 }
        let running = Task { try await connection.run() }
        return OwnSession(connection: connection, greeted: { _ = try await connection.peerHello() }) {
            await connection.close()
            _ = await running.result
        }
    }
}

/// What reached the agent, and how often it fails yet.
private final class FakeAgent: Sendable {
    private let state = Mutex((received: [(verb: String, arguments: Value)](), failures: [Problem]()))

    var verbs: [String] { state.withLock { $0.received.map(\.verb) } }
    var keys: [String] { state.withLock { $0.received.compactMap { $0.arguments["key"]?.string } } }

    func fail(_ problems: Problem...) { state.withLock { $0.failures = problems } }

    func answer(_ call: IncomingCall) throws -> Value {
        try state.withLock { state in
            state.received.append((call.procedure, call.arguments))
            if !state.failures.isEmpty { throw state.failures.removeFirst() }
            return [:]
        }
    }
}

/// A command's view of a state directory in which no daemon runs.
private struct Scene: Sendable {
    let configuration: Configuration
    let agent: FakeAgent
    let opener: FakeOpener

    static func with(_ body: @escaping @Sendable (Scene) async throws -> Void) async throws {
        let agent = FakeAgent()
        var answers: [String: FakeDaemon.Answer] = [:]
        for verb in JobDesk.verbs { answers[verb] = { try agent.answer($0) } }
        answers["watch"] = { call in
            let torrent = Torrent(hash: one, [.name: "One", .status: "seeding"])
            let position = Position(epoch: 1, seq: 0)
            for event in WatchFeed.snapshot([one: torrent], at: position) { try await call.emit(event.value) }
            try await Task.sleep(for: .seconds(60))
            return [:]
        }
        try await FakeDaemon.with(answers) { far in
            var configuration = Configuration(stateDirectory: far.directory.appending(path: "state").path)
            configuration.boxes = [
                .init(name: "vps", addresses: ["a.onion"], user: "seedbox", key: "/k", hostKeys: [])
            ]
            let opener = FakeOpener(socket: far.directory.appending(path: "control.sock").path)
            try await body(Scene(configuration: configuration, agent: agent, opener: opener))
        }
    }

    /// One command from its beginning to its end.
    func command<Success: Sendable>(_ body: (Backend) async throws -> Success) async throws -> Success {
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let reach = OwnReach(configuration.boxes[0], of: configuration, opener: opener, logger: logger)
        let outbox = OwnOutbox(configuration, boxes: [reach], logger: logger)
        let result: Result<Success, any Error>
        do {
            let backend = Backend(road: .own(reach, outbox), box: reach.name, configuration: configuration)
            result = .success(try await body(backend))
        } catch {
            result = .failure(error)
        }
        await outbox.end()
        await reach.end()
        return try result.get()
    }

    func change(_ change: Change = stop, _ patience: Patience = Patience()) async throws -> ChangeOutcome {
        try await command { try await $0.change(change, patience) }
    }

    /// States of all jobs, the oldest first.
    func states() async throws -> [String] {
        try await ledger { ledger in
            try await StoreQueue(ledger).jobs(JobFilter()).reversed().map(\.state.name.rawValue)
        }
    }

    func expect(_ expected: [String], at location: SourceLocation = #_sourceLocation) async throws {
        let found = try await states()
        #expect(found == expected, sourceLocation: location)
    }

    func ledger<Success: Sendable>(_ body: (Ledger) async throws -> Success) async throws -> Success {
        let ledger = try await Ledger.open(LedgerConfiguration(path: StateDirectory.database(configuration)))
        let success = try await body(ledger)
        try ledger.close()
        return success
    }
}

@Suite struct OwnOutboxTests {
    @Test func `a change is a job in the ledger and the audit log, and goes over the own session`() async throws {
        try await Scene.with { scene in
            guard case .done(_, let job) = try await scene.change() else {
                return #expect(Bool(false), "It is not done.")
            }
            #expect(job["who"]?.string == "owner" && job["attempts"] == 1 && job["undoable"] == true)
            #expect(scene.agent.keys == [job["key"]?.string])
            try await scene.expect(["done"])
            let entries = try await scene.ledger { try await $0.audit.entries() }
            #expect(entries.map(\.action) == ["torrent.stop"] && entries.first?.origin == UserDesk.origin)
            // And is taken back.
            let undone = try await scene.command { backend in
                guard case .own(_, let outbox) = backend.road else { preconditionFailure("The scene has no daemon.") }
                return try await outbox.undo(nil) { _ in throw Problem(.internalFault, "No daemon runs.") }
            }
            guard case .done(_, let undoing) = undone else { return #expect(Bool(false), "It is not undone.") }
            #expect(undoing["undoes"] == 1)
            #expect(scene.agent.verbs == ["torrent.stop", "torrent.start"])
        }
    }

    @Test func `what the closed way keeps is carried out by the next command, in its order`() async throws {
        try await Scene.with { scene in
            scene.opener.set(open: false)
            guard case .pending(let job, let told) = try await scene.change() else {
                return #expect(Bool(false), "It does not wait.")
            }
            #expect(job["problem"]?["code"] == "host-unreachable")
            #expect(told.hasPrefix("accepted as job 1; no daemon runs: ") && told.hasSuffix("cannot be reached."))
            try await scene.expect(["accepted"])
            scene.opener.set(open: true)
            var verify = stop
            verify.verb = "torrent.verify"
            guard case .done = try await scene.change(verify) else { return #expect(Bool(false), "It is not done.") }
            #expect(scene.agent.verbs == ["torrent.stop", "torrent.verify"])
            try await scene.expect(["done", "done"])
        }
    }

    @Test func `who waits no longer hears the job's number, and who waits long enough sees it done`() async throws {
        try await Scene.with { scene in
            scene.opener.set(open: false)
            let problem = await #expect(throws: Problem.self) {
                try await scene.change(stop, Patience(limit: .milliseconds(300)))
            }
            #expect(problem?.code == .timedOut && problem?.message.contains("job 1") == true)
            let key = String(repeating: "7", count: 32)
            async let later = scene.change(stop, Patience(limit: .seconds(60), key: key))
            while scene.opener.tried < 2 { try await Task.sleep(for: .milliseconds(20)) }
            scene.opener.set(open: true)
            guard case .done = try await later else { return #expect(Bool(false), "It is not done.") }
            try await scene.expect(["done", "done"])
            #expect(scene.agent.keys.last == key)
        }
    }

    @Test func `who wants no queue leaves nothing that is carried out later`() async throws {
        try await Scene.with { scene in
            scene.opener.set(open: false)
            let refused = await #expect(throws: Problem.self) {
                try await scene.change(stop, Patience(refusesQueue: true))
            }
            #expect(refused?.code == .hostUnreachable)
            #expect(FileMode(StateDirectory.database(scene.configuration)) == nil)
            // The way is open, but Transmission is down as long as anybody waits.
            scene.opener.set(open: true)
            scene.agent.fail(Problem(.transmissionDown, "It is down."), Problem(.transmissionDown, "It is down."))
            let down = await #expect(throws: Problem.self) {
                try await scene.change(stop, Patience(limit: .milliseconds(500), refusesQueue: true))
            }
            #expect(down?.code == .transmissionDown)
            try await scene.expect(["cancelled"])
        }
    }

    @Test func `an attempt that takes too long is broken off, and says whether anything is kept`() async throws {
        try await Scene.with { scene in
            scene.opener.stick()
            for (refuses, words) in [(true, "nothing is kept"), (false, "kept as job 1")] {
                let problem = await #expect(throws: Problem.self) {
                    try await scene.change(stop, Patience(limit: .milliseconds(100), refusesQueue: refuses))
                }
                #expect(problem?.code == .timedOut && problem?.message.contains(words) == true)
            }
            try await scene.expect(["accepted"])
        }
    }

    @Test func `who does not wait needs no session`() async throws {
        try await Scene.with { scene in
            guard case .pending = try await scene.change(stop, Patience(returnsAtOnce: true)) else {
                return #expect(Bool(false), "It does not wait.")
            }
            #expect(scene.opener.opened == 0)
            try await scene.expect(["accepted"])
        }
    }

    @Test func `a lost answer is asked for again under the same key, and a refusal ends the job`() async throws {
        try await Scene.with { scene in
            scene.agent.fail(Problem(.connectionLost, "The circuit has died."))
            guard case .done(_, let job) = try await scene.change() else {
                return #expect(Bool(false), "It is not done.")
            }
            #expect(job["attempts"] == 2)
            #expect(scene.agent.keys.count == 2 && Set(scene.agent.keys).count == 1)
            scene.agent.fail(Problem(.conflict, "It is not stopped any more."))
            let problem = await #expect(throws: Problem.self) { try await scene.change() }
            #expect(problem?.code == .conflict)
            try await scene.expect(["done", "failed"])
        }
    }

    @Test func `a daemon that has started meanwhile takes the change`() async throws {
        try await Scene.with { scene in
            let submitted = Mutex<Value>(.null)
            let submit: FakeDaemon.Answer = { call in
                submitted.withLock { $0 = call.arguments }
                return ["id": 9, "state": "done", "ended": true]
            }
            try await FakeDaemon.with(["submit": submit]) { daemon in
                var other = scene.configuration
                other.stateDirectory = daemon.directory.path
                let lock = try StateLock(path: StateDirectory.lock(other))
                #expect(lock != nil)
                let moved = Scene(configuration: other, agent: scene.agent, opener: scene.opener)
                guard case .done(_, let job) = try await moved.change() else {
                    return #expect(Bool(false), "It is not done.")
                }
                #expect(job["id"] == 9)
                #expect(submitted.withLock { $0["box"] } == "vps" && scene.agent.verbs.isEmpty)
                withExtendedLifetime(lock) {}
            }
        }
    }

    @Test func `two do not send at once, and the second does not wait for ever`() async throws {
        try await Scene.with { scene in
            try StateDirectory.prepareOwn(scene.configuration.stateDirectory)
            let lock = try StateLock(path: StateDirectory.lock(scene.configuration))
            #expect(lock != nil)
            let problem = await #expect(throws: Problem.self) {
                _ = try await StateHold.take(scene.configuration, within: .milliseconds(120))
            }
            #expect(problem?.code == .conflict)
            withExtendedLifetime(lock) {}
        }
    }

    @Test func `jobs are told without a daemon, where any were ever kept`() async throws {
        try await Scene.with { scene in
            let absent = await #expect(throws: Problem.self) {
                try await scene.command { backend in
                    guard case .own(_, let outbox) = backend.road else { return }
                    _ = try await outbox.answer("jobs", [:])
                }
            }
            #expect(absent?.code == .controllerAbsent)
            _ = try await scene.change(stop, Patience(returnsAtOnce: true))
            let directory = URL(filePath: scene.configuration.stateDirectory)
            let list = try await CommandRun.farseed(["jobs", "--json"], in: directory)
            #expect(list.text.contains(#""verb":"torrent.stop""#), "\(list)")
            let cancel = try await CommandRun.farseed(["jobs", "cancel", "1"], in: directory)
            #expect(cancel.text == "cancelled job 1\n")
            try await scene.expect(["cancelled"])
        }
    }
}
