// The outbox with a real database, and with another engine, and a seedbox that does what the test says.

import Notation
import Seedbox
import Store
import Testing

@testable import Jobs

@Suite(.timeLimit(.minutes(2))) struct OutboxTests {
    private func outbox(
        _ queue: any JobQueue,
        _ executor: ScriptedExecutor,
        _ change: (inout OutboxConfiguration) -> Void = { _ in }
    ) -> Outbox {
        var configuration = OutboxConfiguration()
        configuration.timing.firstPause = 1
        configuration.timing.longestPause = 4
        configuration.retryPause = .milliseconds(2)
        change(&configuration)
        return Outbox(queue: queue, executor: executor, configuration: configuration, logger: quiet)
    }

    @Test func `accepted means committed, whether anybody sends or not`() async throws {
        let scratch = try ScratchState()
        let ledger = try await scratch.open()
        let executor = ScriptedExecutor(isLive: false)
        let job = try await outbox(StoreQueue(ledger), executor).submit(someRequest(1, targets: [hash(1)]))
        #expect(job.state == .accepted)
        try ledger.close()
        let again = try await scratch.open()
        #expect(try await StoreQueue(again).job(job.id) == job)
        let outbox = outbox(StoreQueue(again), executor)
        executor.setLive(true)
        let done = try await running(outbox) { try await outbox.ended(job.id) }
        #expect(done.state == .done(["ok": true]))
        #expect(executor.executed.map(\.key) == [job.key])
    }

    @Test(arguments: Engine.allCases)
    func `while the link is down jobs wait, and go out once it is live`(engine: Engine) async throws {
        let scratch = try ScratchState()
        let executor = ScriptedExecutor(isLive: false)
        let outbox = outbox(try await engine.queue(in: scratch), executor)
        try await running(outbox) {
            let job = try await outbox.submit(someRequest())
            let waiting = try await outbox.reached(job.id, [.waiting])
            #expect(waiting.attempts == 0)
            #expect(executor.executed.isEmpty)
            executor.setLive(true)
            #expect(try await outbox.ended(job.id).state.name == .done)
        }
    }

    @Test(arguments: Engine.allCases)
    func `jobs of a torrent keep their order while others pass`(engine: Engine) async throws {
        let scratch = try ScratchState()
        let gate = TestGate()
        let executor = ScriptedExecutor { job in
            if job.arguments["number"] == 0 { await gate.passed() }
            return .null
        }
        let outbox = outbox(try await engine.queue(in: scratch), executor)
        try await running(outbox) {
            var ids: [Int64] = []
            for number in 0..<6 {
                ids.append(try await outbox.submit(someRequest(number, targets: [hash(number < 3 ? 1 : 2)])).id)
            }
            for id in ids[3...] { _ = try await outbox.ended(id) }
            #expect(try await outbox.job(ids[1]).state.name == .waiting)
            gate.open()
            for id in ids { _ = try await outbox.ended(id) }
        }
        let numbers = executor.executed.compactMap { $0.arguments["number"]?.int }
        #expect(numbers.filter { $0 < 3 } == [0, 1, 2])
        #expect(numbers.filter { $0 >= 3 } == [3, 4, 5])
    }

    @Test(arguments: Engine.allCases)
    func `a thousand jobs at once are all kept and done, a bounded number at a time`(engine: Engine) async throws {
        let scratch = try ScratchState()
        let executor = ScriptedExecutor { _ in
            await Task.yield()
            return .null
        }
        let outbox = outbox(try await engine.queue(in: scratch), executor) { $0.limits.perBox = 8 }
        try await running(outbox) {
            let ids = try await withThrowingTaskGroup(of: Int64.self) { group in
                for number in 0..<1_000 {
                    group.addTask { try await outbox.submit(someRequest(number, targets: [hash(number)])).id }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(Set(ids).count == 1_000)
            for id in ids { _ = try await outbox.ended(id) }
            #expect(try await outbox.counts() == [.done: 1_000])
        }
        #expect(executor.executed.count == 1_000)
        #expect(executor.mostRunning <= 8)
    }

    @Test(arguments: Engine.allCases)
    func `after a lost answer the same key is sent again`(engine: Engine) async throws {
        let scratch = try ScratchState()
        let executor = ScriptedExecutor { job in
            if job.attempts < 3 { throw Problem(.connectionLost, "gone") }
            return ["attempt": .int(Int64(job.attempts))]
        }
        let outbox = outbox(try await engine.queue(in: scratch), executor)
        let job = try await running(outbox) { try await outbox.ended(outbox.submit(someRequest()).id) }
        #expect(job.state == .done(["attempt": 3]))
        #expect(executor.executed.map(\.state.name) == [.sent, .confirming, .confirming])
        #expect(Set(executor.executed.map(\.key)).count == 1)
    }

    @Test(arguments: Engine.allCases)
    func `an unknown error counts as a lost answer, a refusal ends the job`(engine: Engine) async throws {
        struct Broken: Error {}
        let scratch = try ScratchState()
        let executor = ScriptedExecutor { job -> Value in
            if job.attempts == 1 { throw Broken() }
            throw Problem(.notFound, "no such torrent")
        }
        let outbox = outbox(try await engine.queue(in: scratch), executor)
        let job = try await running(outbox) { try await outbox.ended(outbox.submit(someRequest()).id) }
        #expect(job.state == .failed(Problem(.notFound, "no such torrent")))
        #expect(job.attempts == 2)
    }

    @Test(arguments: Engine.allCases)
    func `a seedbox that never answers does not hold a job for ever`(engine: Engine) async throws {
        let scratch = try ScratchState()
        let executor = ScriptedExecutor { job in
            if job.attempts == 1 { try await Task.sleep(for: .seconds(3600)) }
            return .null
        }
        let outbox = outbox(try await engine.queue(in: scratch), executor) { $0.attemptLimit = .milliseconds(200) }
        let job = try await running(outbox) { try await outbox.ended(outbox.submit(someRequest()).id) }
        #expect(job.state.name == .done)
        #expect(executor.executed.count >= 2)
        #expect(executor.executed.dropFirst().first?.state.problem?.code == .timedOut)
    }

    @Test func `what was under way when the controller ended is settled by the next`() async throws {
        let scratch = try ScratchState()
        let ledger = try await scratch.open()
        let begun = TestGate()
        let hanging = ScriptedExecutor { _ in
            begun.open()
            try await Task.sleep(for: .seconds(3600))
            return .null
        }
        let first = outbox(StoreQueue(ledger), hanging)
        let job = try await running(first) {
            let job = try await first.submit(someRequest())
            await begun.passed()
            return job
        }
        #expect(try await first.job(job.id).state == .sent)
        let executor = ScriptedExecutor()
        let second = outbox(StoreQueue(ledger), executor)
        let done = try await running(second) { try await second.ended(job.id) }
        #expect(done.state.name == .done)
        #expect(executor.executed.map(\.key) == [job.key])
        #expect(executor.executed.map(\.state.name) == [.confirming])
    }

    @Test(arguments: Engine.allCases)
    func `a waiting job can be taken back, one that was sent cannot`(engine: Engine) async throws {
        let scratch = try ScratchState()
        let gate = TestGate()
        let begun = TestGate()
        let executor = ScriptedExecutor { _ in
            begun.open()
            await gate.passed()
            return .null
        }
        let outbox = outbox(try await engine.queue(in: scratch), executor)
        try await running(outbox) {
            let sent = try await outbox.submit(someRequest(1, targets: [hash(1)]))
            let waiting = try await outbox.submit(someRequest(2, targets: [hash(1)]))
            await begun.passed()
            _ = try await outbox.reached(waiting.id, [.waiting])
            let problem = await #expect(throws: Problem.self) { _ = try await outbox.cancel(sent.id, by: "ann") }
            #expect(problem?.code == .conflict)
            #expect(try await outbox.cancel(waiting.id, by: "ann").state == .cancelled(by: "ann"))
            #expect(try await outbox.ended(waiting.id).state.name == .cancelled)
            await #expect(throws: Problem.self) { _ = try await outbox.cancel(waiting.id, by: "ann") }
            let absent = await #expect(throws: Problem.self) { _ = try await outbox.cancel(999, by: "ann") }
            #expect(absent?.code == .notFound)
            gate.open()
            _ = try await outbox.ended(sent.id)
        }
        #expect(executor.executed.count == 1)
    }

    @Test(arguments: Engine.allCases)
    func `of a cancellation and a sending that race, one wins`(engine: Engine) async throws {
        let scratch = try ScratchState()
        let executor = ScriptedExecutor()
        let outbox = outbox(try await engine.queue(in: scratch), executor)
        try await running(outbox) {
            for number in 0..<150 {
                let job = try await outbox.submit(someRequest(number))
                let cancelled = try? await outbox.cancel(job.id, by: "ann")
                let ended = try await outbox.ended(job.id)
                #expect(ended.state.name == (cancelled == nil ? .done : .cancelled))
                #expect(executor.executed.contains { $0.id == job.id } == (cancelled == nil))
            }
        }
    }

    @Test(arguments: Engine.allCases)
    func `a job that waited too long is not begun`(engine: Engine) async throws {
        let scratch = try ScratchState()
        let executor = ScriptedExecutor(isLive: false)
        let outbox = outbox(try await engine.queue(in: scratch), executor)
        var request = someRequest()
        request.expiry = .milliseconds(30)
        let asked = request
        try await running(outbox) {
            let job = try await outbox.submit(asked)
            #expect(try await outbox.ended(job.id).state == .expired)
            executor.setLive(true)
            let next = try await outbox.submit(someRequest(2))
            _ = try await outbox.ended(next.id)
            #expect(executor.executed.map(\.id) == [next.id])
        }
    }

    @Test(arguments: Engine.allCases)
    func `a key is one job, and only of the same request`(engine: Engine) async throws {
        let scratch = try ScratchState()
        let outbox = outbox(try await engine.queue(in: scratch), ScriptedExecutor(isLive: false))
        var request = someRequest(1)
        request.key = JobRequest.makeKey()
        let job = try await outbox.submit(request)
        #expect(try await outbox.submit(request) == job)
        request.arguments = ["number": 2]
        let problem = await #expect(throws: Problem.self) { _ = try await outbox.submit(request) }
        #expect(problem?.code == .conflict)
        #expect(try await outbox.jobs().count == 1)
    }

    @Test func `what cannot be committed is not sent, and goes on when it can`() async throws {
        let scratch = try ScratchState()
        let queue = FaultyQueue(StoreQueue(try await scratch.open()))
        let gate = TestGate()
        let begun = TestGate()
        let executor = ScriptedExecutor(isLive: false) { job in
            if job.arguments["number"] == 1 {
                begun.open()
                await gate.passed()
            }
            return ["number": job.arguments["number"] ?? .null]
        }
        let outbox = outbox(queue, executor)
        try await running(outbox) {
            let first = try await outbox.submit(someRequest(1))
            let second = try await outbox.submit(someRequest(2, targets: [hash(1)]))
            let third = try await outbox.submit(someRequest(3, targets: [hash(1)]))
            _ = try await outbox.reached(third.id, [.waiting])
            executor.setLive(true)
            await begun.passed()
            _ = try await outbox.ended(third.id)
            queue.setBroken(true)
            await #expect(throws: Problem.self) { _ = try await outbox.submit(someRequest(4)) }
            gate.open()
            while queue.refused < 3 { try await Task.sleep(for: .milliseconds(1)) }
            #expect(try await outbox.job(first.id).state == .sent)
            queue.setBroken(false)
            // The answer was kept in memory meanwhile: it is not asked for twice.
            #expect(try await outbox.ended(first.id).state == .done(["number": 1]))
            #expect(try await outbox.job(second.id).state.name == .done)
        }
        #expect(executor.executed.count == 3)
    }

    @Test(arguments: Engine.allCases)
    func `a slow reader gets the newest of each job, not a queue`(engine: Engine) async throws {
        let scratch = try ScratchState()
        let outbox = outbox(try await engine.queue(in: scratch), ScriptedExecutor())
        let changes = outbox.changes()
        let forgotten = outbox.changes()
        _ = consume forgotten
        try await running(outbox) {
            var ids: [Int64] = []
            for number in 0..<20 { ids.append(try await outbox.submit(someRequest(number)).id) }
            for id in ids { _ = try await outbox.ended(id) }
            var iterator = changes.makeAsyncIterator()
            let batch = await iterator.next() ?? []
            #expect(batch.map(\.id) == ids)
            #expect(batch.allSatisfy { $0.state.name == .done })
        }
    }

    @Test(arguments: Engine.allCases)
    func `old jobs are forgotten while it runs`(engine: Engine) async throws {
        let scratch = try ScratchState()
        let outbox = outbox(try await engine.queue(in: scratch), ScriptedExecutor()) {
            $0.retainedJobs = 2
            $0.sweepInterval = .milliseconds(5)
        }
        try await running(outbox) {
            // Of one torrent, so that they end in this order.
            for number in 0..<6 { _ = try await outbox.submit(someRequest(number, targets: [hash(1)])) }
            while try await outbox.counts() != [.done: 2] { try await Task.sleep(for: .milliseconds(2)) }
            #expect(try await outbox.jobs().map(\.id) == [6, 5])
        }
    }
}
