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
private final class FakeAgent: Sendable {
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
        let torrent = Torrent(hash: one, [.name: "One", .status: .string(status.rawValue)])
        for event in WatchFeed.snapshot([one: torrent], at: Position(epoch: 1, seq: 0)) {
            try await call.emit(event.value)
        }
        try await Task.sleep(for: .seconds(60))
        return [:]
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
        for verb in JobDesk.verbs { answers[verb] = { try await agent.answer($0) } }
        answers["watch"] = { try await agent.watched($0) }
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
    func beside(_ daemon: FakeDaemon) -> Scene {
        var configuration = configuration
        configuration.stateDirectory = daemon.directory.path
        return Scene(configuration: configuration, agent: agent, opener: opener)
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
private final class Held: Sendable {
    private let lock = Mutex<StateLock?>(nil)

    var isTaken: Bool { lock.withLock { $0 != nil } }

    func take(_ path: String) throws {
        let taken = try StateLock(path: path)
        lock.withLock { $0 = taken }
    }
}

/// Tries with more and more time, which a loaded machine may need, until `body` says that it was enough.
private func enough(at location: SourceLocation = #_sourceLocation, _ body: (Duration) async throws -> Bool)
    async throws
{
    var limit = Duration.milliseconds(500)
    while try await !body(limit) {
        limit *= 2
        guard limit < .seconds(60) else {
            Issue.record("A minute was not enough.", sourceLocation: location)
            return
        }
    }
}

private func undo(_ backend: Backend, _ daemon: OwnOutbox.ThroughDaemon) async throws -> ChangeOutcome {
    guard case .own(_, let outbox) = backend.road else { preconditionFailure("The scene has no daemon.") }
    return try await outbox.undo(nil, key: Backend.newKey(), Patience(), daemon: daemon)
}

@Suite(.timeLimit(.minutes(5))) struct OwnOutboxTests {
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
                try await undo(backend) { _ in throw Problem(.internalFault, "No daemon runs.") }
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
            scene.agent.keepFailing(Problem(.transmissionDown, "It is down."))
            try await enough { limit in
                let down = await #expect(throws: Problem.self) {
                    try await scene.change(stop, Patience(limit: limit, refusesQueue: true))
                }
                let states = try await scene.states()
                #expect(Set(states).isSubset(of: ["cancelled"]))
                return down?.code == .transmissionDown
            }
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

    @Test func `a daemon that starts amid a wait goes on with it, and no session of ours is in its way`() async throws {
        try await Scene.with { scene in
            let held = Mutex<Int?>(nil)
            let watch: FakeDaemon.Answer = { call in
                held.withLock { $0 = scene.opener.held }
                let torrent = Torrent(hash: one, [.status: "stopped"])
                for event in WatchFeed.snapshot([one: torrent], at: Position(epoch: 1, seq: 0)) {
                    try await call.emit(event.value)
                }
                try await Task.sleep(for: .seconds(60))
                return [:]
            }
            // It is seeding for whoever asks the agent, and goes on to be.
            let alone = Mutex(false)
            try await FakeDaemon.with(["watch": watch]) { daemon in
                let moved = scene.beside(daemon)
                try await moved.command { backend in
                    _ = try await backend.connection()
                    alone.withLock { $0 = scene.opener.held == 1 }
                    try await backend.wait(for: .stopped, [one], within: .seconds(50))
                }
            }
            #expect(alone.withLock(\.self) && held.withLock(\.self) == 0)
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

    @Test func `who waits for what comes of it waits for the job first, however long the way is closed`() async throws {
        try await Scene.with { scene in
            scene.opener.set(open: false)
            async let later = scene.change(stop, Patience(untilEnd: true))
            while scene.opener.tried < 1 { try await Task.sleep(for: .milliseconds(20)) }
            scene.opener.set(open: true)
            guard case .done = try await later else { return #expect(Bool(false), "It is not done.") }
            try await scene.expect(["done"])
        }
    }

    @Test func `who waits for what comes of it hears that the job has expired`() async throws {
        try await Scene.with { scene in
            scene.opener.set(open: false)
            let problem = await #expect(throws: Problem.self) {
                try await scene.change(stop, Patience(untilEnd: true, expiry: .seconds(1)))
            }
            #expect(problem?.code == .timedOut && problem?.message.contains("no longer wanted") == true)
            try await scene.expect(["expired"])
        }
    }

    @Test func `a daemon that starts after the job was kept is asked under the key of the job`() async throws {
        try await Scene.with { scene in
            let asked = Mutex<[Value]>([])
            let answer: FakeDaemon.Answer = { call in
                asked.withLock { $0.append(call.arguments) }
                // The tor that our session may have started is the daemon's now.
                #expect(scene.opener.held == 0)
                return ["id": 2, "undoes": 1, "state": "done", "ended": true]
            }
            try await FakeDaemon.with(["job.undo": answer]) { daemon in
                let moved = scene.beside(daemon)
                guard case .done = try await moved.change() else { return #expect(Bool(false), "It is not done.") }
                let held = moved.lockMeanwhile()
                let key = Backend.newKey()
                let outcome = try await moved.command { backend in
                    guard case .own(_, let outbox) = backend.road else { preconditionFailure("No daemon runs.") }
                    let errand = DaemonErrand("job.undo", [:], key: key, Patience(), moved.configuration)
                    return try await outbox.undo(nil, key: key, Patience()) { connection in
                        try await Backend.greeting(connection) { try await errand.carriedOut(over: connection) }
                    }
                }
                #expect(held.isTaken)
                guard case .done = outcome else { return #expect(Bool(false), "It is not taken back.") }
                let kept = try await moved.ledger { try await StoreQueue($0).job(key: key)?.undoes }
                #expect(kept == 1)
                #expect(asked.withLock { $0.map { $0["key"]?.string } } == [key])
                #expect(scene.agent.verbs == ["torrent.stop"])
            }
        }
    }

    @Test func `a job is kept also where others do not let go of the lock, and said to be`() async throws {
        try await Scene.with { scene in
            try await enough { limit in
                let held = scene.lockMeanwhile()
                let problem = await #expect(throws: Problem.self) {
                    try await scene.change(stop, Patience(limit: limit))
                }
                #expect(problem?.code == .timedOut && problem?.message.contains("kept as job") == true)
                return problem?.message.contains("Another farseed") == true && held.isTaken
            }
            // Who wants no queue leaves nothing, and has looked for the way before.
            try await enough { limit in
                let held = scene.lockMeanwhile(2)
                let problem = await #expect(throws: Problem.self) {
                    try await scene.change(stop, Patience(limit: limit, refusesQueue: true))
                }
                #expect(problem?.message.contains("Nothing was done; try again") != true)
                return problem?.code == .conflict && held.isTaken
            }
            #expect(try await scene.states().last == "cancelled")
        }
    }

    @Test func `the lock is free while a job only waits`() async throws {
        try await Scene.with { scene in
            scene.agent.keepFailing(Problem(.transmissionDown, "It is down."))
            async let later = scene.change(stop, Patience(limit: .seconds(100)))
            while scene.agent.verbs.isEmpty { try await Task.sleep(for: .milliseconds(20)) }
            #expect(try await scene.takesLock())
            scene.agent.keepFailing(nil)
            guard case .done = try await later else { return #expect(Bool(false), "It is not done.") }
            try await scene.expect(["done"])
        }
    }

    @Test func `the lock is let go of after a while also when a job is under way, which is asked for again`()
        async throws
    {
        try await Scene.with { scene in
            scene.agent.hangOnce()
            let outcome = try await scene.command(longestHold: .seconds(2)) {
                try await $0.change(stop, Patience(limit: .seconds(100)))
            }
            guard case .done = outcome else { return #expect(Bool(false), "It is not done.") }
            #expect(scene.agent.keys.count > 1 && Set(scene.agent.keys).count == 1)
            try await scene.expect(["done"])
        }
    }

    @Test func `what undoes a command comes of torrents as they are, not as an earlier one found them`() async throws {
        try await Scene.with { scene in
            for (freshFor, looks) in [(Duration.seconds(600), 2), (.zero, 3)] {
                let before = scene.agent.looks
                scene.agent.set(.seeding)
                try await scene.command(freshFor: freshFor) { backend in
                    guard case .own(let reach, _) = backend.road else { return }
                    _ = try await reach.listing()
                    #expect(try await reach.known([one]).map(\.status) == [.seeding])
                    scene.agent.set(.stopped)
                    #expect(try await reach.known([one]).map(\.status) == [.stopped])
                }
                #expect(scene.agent.looks - before == looks)
            }
        }
    }

    @Test func `a program runs also where nothing can be written down, and its way is opened meanwhile`() async throws {
        try await Scene.with { scene in
            try FileManager.default.createDirectory(
                atPath: StateDirectory.database(scene.configuration),
                withIntermediateDirectories: true
            )
            let answer = try await scene.command { backend in
                try await backend.noting("exec", target: "vps") {
                    while scene.opener.opened == 0 { try await Task.sleep(for: .milliseconds(20)) }
                    return 7
                }
            }
            #expect(answer == 7)
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
