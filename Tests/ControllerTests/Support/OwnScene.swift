/// A command's world without a daemon: a state directory, and a seedbox whose agent the test plays.
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

/// Opens sessions with the test's own agent, while the way is open.
final class FakeOpener: SessionOpener {
    private let socket: String
    private let state = Mutex((isOpen: true, isStuck: false, tried: 0, opened: 0, ended: 0))
    /// What happens elsewhere, and after how many more greetings of the agent.
    private let elsewhere = Mutex<(greetings: Int, body: @Sendable () throws -> Void)?>(nil)

    init(socket: String) { self.socket = socket }

    var tried: Int { state.withLock(\.tried) }
    var opened: Int { state.withLock(\.opened) }
    /// Sessions that are open.
    var held: Int { state.withLock { $0.opened - $0.ended } }

    func set(open: Bool) { state.withLock { $0.isOpen = open } }

    /// Has something happen elsewhere when the way is found open, for the first time or for a later one.
    func meanwhile(_ greetings: Int, _ body: @escaping @Sendable () throws -> Void) {
        elsewhere.withLock { $0 = (greetings, body) }
    }

    private func greeted() throws {
        try elsewhere.withLock { next in
            guard let (greetings, body) = next else { return }
            next = greetings > 1 ? (greetings - 1, body) : nil
            if greetings == 1 { try body() }
        }
    }

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
        let greeted: @Sendable () async throws -> Void = {
            _ = try await connection.peerHello()
            try self.greeted()
        }
        return OwnSession(connection: connection, greeted: greeted) {
            await connection.close()
            _ = await running.result
            self.state.withLock { $0.ended += 1 }
        }
    }
}

/// What reached the agent, how it fails, and what it says of the torrent.
final class FakeAgent: Sendable {
    private struct State {
        var received: [(verb: String, arguments: Value)] = []
        var failures: [Problem] = []
        var failing: Problem?
        var hangs = 0
        var looks = 0
        var status = TorrentStatus.seeding
    }

    private let state = Mutex(State())

    var verbs: [String] { state.withLock { $0.received.map(\.verb) } }
    var keys: [String] { state.withLock { $0.received.compactMap { $0.arguments["key"]?.string } } }
    /// How often the torrents were listed.
    var looks: Int { state.withLock(\.looks) }

    func fail(_ problems: Problem...) { state.withLock { $0.failures = problems } }

    /// Each time, until it is nil.
    func keepFailing(_ problem: Problem?) { state.withLock { $0.failing = problem } }

    /// The next command is not answered.
    func hangOnce() { state.withLock { $0.hangs += 1 } }

    func set(_ status: TorrentStatus) { state.withLock { $0.status = status } }

    func answer(_ call: IncomingCall) async throws -> Value {
        let hangs = try state.withLock { state in
            state.received.append((call.procedure, call.arguments))
            if let failing = state.failing { throw failing }
            if !state.failures.isEmpty { throw state.failures.removeFirst() }
            defer { state.hangs = max(0, state.hangs - 1) }
            return state.hangs > 0
        }
        if hangs { try await Task.sleep(for: .seconds(60)) }
        return [:]
    }

    func watched(_ call: IncomingCall) async throws -> Value {
        let status = state.withLock { state in
            state.looks += 1
            return state.status
        }
        let torrent = Torrent(hash: OwnScene.one, [.name: "One", .status: .string(status.rawValue)])
        for event in WatchFeed.snapshot([OwnScene.one: torrent], at: Position(epoch: 1, seq: 0)) {
            try await call.emit(event.value)
        }
        try await Task.sleep(for: .seconds(60))
        return [:]
    }
}

/// A command's view of a state directory in which no daemon runs.
struct OwnScene: Sendable {
    /// The seedbox's torrent, and a change of it.
    static let one = InfoHash(String(repeating: "a", count: 40))!
    static let stop = Change(verb: "torrent.stop", arguments: ["hashes": [.string(one.hex)]], targets: [one])

    let configuration: Configuration
    let agent: FakeAgent
    let opener: FakeOpener

    static func with(_ body: @escaping @Sendable (OwnScene) async throws -> Void) async throws {
        let agent = FakeAgent()
        var answers: [String: FakeDaemon.Answer] = [:]
        for verb in JobDesk.verbs { answers[verb] = { try await agent.answer($0) } }
        answers["watch"] = { try await agent.watched($0) }
        try await FakeDaemon.with(answers) { far in
            var configuration = Configuration(stateDirectory: far.directory.appending(path: "state").path)
            configuration.boxes = [
                .init(name: "vps", addresses: ["a.onion"], user: "seedbox", key: "/k", hostKeys: [])
            ]
            let opener = FakeOpener(socket: far.directory.appending(path: "control.sock").path)
            try await body(OwnScene(configuration: configuration, agent: agent, opener: opener))
        }
    }

    /// One command from its beginning to its end.
    func command<Success: Sendable>(
        freshFor: Duration = OwnReach.freshFor,
        longestHold: Duration = OwnOutbox.longestHold,
        _ body: (Backend) async throws -> Success
    ) async throws -> Success {
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let box = configuration.boxes[0]
        let reach = OwnReach(box, of: configuration, opener: opener, freshFor: freshFor, logger: logger)
        let outbox = OwnOutbox(configuration, boxes: [reach], longestHold: longestHold, logger: logger)
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

    /// The same command where the state directory is that of `daemon`, which has not started yet.
    func beside(_ daemon: FakeDaemon) -> OwnScene {
        var configuration = configuration
        configuration.stateDirectory = daemon.directory.path
        return OwnScene(configuration: configuration, agent: agent, opener: opener)
    }

    /// Whether the lock is to be had soon; it is free again then.
    func takesLock() async throws -> Bool {
        guard case .mine = try await StateHold.take(configuration, within: .seconds(50)) else { return false }
        return true
    }

    /// Another program takes the lock when the way is found open, and has it as long as what is returned is kept.
    func lockMeanwhile(_ greetings: Int = 1) -> Held {
        let held = Held()
        let path = StateDirectory.lock(configuration)
        opener.meanwhile(greetings) { try held.take(path) }
        return held
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

/// A lock in other hands.
final class Held: Sendable {
    private let lock = Mutex<StateLock?>(nil)

    var isTaken: Bool { lock.withLock { $0 != nil } }

    func take(_ path: String) throws {
        let taken = try StateLock(path: path)
        lock.withLock { $0 = taken }
    }
}
