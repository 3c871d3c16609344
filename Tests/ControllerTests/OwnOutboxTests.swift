/// Jobs without a daemon: kept before anything is sent, sent by the command itself, and left to the next where need be.
import Calls
import Foundation
import Jobs
import Notation
import Seedbox
import Store
import Synchronization
import Testing

@testable import Controller

private let one = OwnScene.one
private let stop = OwnScene.stop

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
        try await OwnScene.with { scene in
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
        try await OwnScene.with { scene in
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
        try await OwnScene.with { scene in
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
        try await OwnScene.with { scene in
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
        try await OwnScene.with { scene in
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
        try await OwnScene.with { scene in
            guard case .pending = try await scene.change(stop, Patience(returnsAtOnce: true)) else {
                return #expect(Bool(false), "It does not wait.")
            }
            #expect(scene.opener.opened == 0)
            try await scene.expect(["accepted"])
        }
    }

    @Test func `a lost answer is asked for again under the same key, and a refusal ends the job`() async throws {
        try await OwnScene.with { scene in
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
        try await OwnScene.with { scene in
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
                let moved = OwnScene(configuration: other, agent: scene.agent, opener: scene.opener)
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
        try await OwnScene.with { scene in
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
        try await OwnScene.with { scene in
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
        try await OwnScene.with { scene in
            scene.opener.set(open: false)
            async let later = scene.change(stop, Patience(untilEnd: true))
            while scene.opener.tried < 1 { try await Task.sleep(for: .milliseconds(20)) }
            scene.opener.set(open: true)
            guard case .done = try await later else { return #expect(Bool(false), "It is not done.") }
            try await scene.expect(["done"])
        }
    }

    @Test func `who waits for what comes of it hears that the job has expired`() async throws {
        try await OwnScene.with { scene in
            scene.opener.set(open: false)
            let problem = await #expect(throws: Problem.self) {
                try await scene.change(stop, Patience(untilEnd: true, expiry: .seconds(1)))
            }
            #expect(problem?.code == .timedOut && problem?.message.contains("no longer wanted") == true)
            try await scene.expect(["expired"])
        }
    }

    @Test func `a daemon that starts after the job was kept is asked under the key of the job`() async throws {
        try await OwnScene.with { scene in
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
        try await OwnScene.with { scene in
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
        try await OwnScene.with { scene in
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
        try await OwnScene.with { scene in
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
        try await OwnScene.with { scene in
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
        try await OwnScene.with { scene in
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
        try await OwnScene.with { scene in
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
