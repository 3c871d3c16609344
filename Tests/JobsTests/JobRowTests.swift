// A job comes back from the database as it went in, and reads well outside.

import Notation
import Seedbox
import Store
import Testing

@testable import Jobs

@Suite struct JobRowTests {
    @Test func `every state survives storage`() async throws {
        let scratch = try ScratchState()
        let queue = StoreQueue(try await scratch.open())
        let problem = Problem(.connectionLost, "gone\n\u{0}ü")
        let states: [JobState] = [
            .accepted, .waiting(.init()), .waiting(.init(until: 7, problem: problem)), .sent,
            .confirming(.init(until: .max, problem: problem)), .done(["a": [1, nil, .bytes([0, 255])]]),
            .failed(problem),
            .expired, .cancelled(by: "ann"),
        ]
        for (index, state) in states.enumerated() {
            var job = try someRequest(index, targets: [hash(1), hash(2)]).job(at: 5, defaultExpiry: .seconds(60))
            job.arguments = ["torrent": .bytes([1, 2, 3]), "paused": true]
            job.precondition = ["status": "stopped"]
            job = try await queue.accept(job, maximumUnfinished: 100).job
            job.state = state
            job.attempts = 3
            job.changedAt = 99
            let undo = UndoRecipe(verb: "torrent.add", arguments: ["x": 1.5], targets: [hash(3)])
            try await queue.note(undo, for: job.id)
            #expect(try await queue.save([job]) == [])
            job.undo = undo
            job.hasUndo = true
            #expect(try await queue.job(job.id) == job)
            #expect(try await queue.job(key: job.key) == job)
        }
        let counts = try await queue.counts()
        #expect(counts[.waiting] == 2)
        #expect(counts[.done] == 1)
    }

    @Test func `a row that cannot be read fails by name and is not executed`() async throws {
        let scratch = try ScratchState()
        let ledger = try await scratch.open()
        for (number, state) in ["accepted", "of the future"].enumerated() {
            var row = try someRequest().job(at: 1, defaultExpiry: .seconds(1)).newRow()
            row.key = "\(number)"
            row.state = state
            if number == 0 { row.targets = [0xFF, 0x00] }
            _ = try await ledger.jobs.accept(row, maximumUnfinished: 10)
        }
        let queue = StoreQueue(ledger)
        var scheduler = JobScheduler()
        for job in try await queue.unfinished(after: 0, limit: 10) {
            #expect(job.state.problem?.code == .internalFault)
            scheduler.load(job, at: 1)
        }
        scheduler.live("vps")
        let step = scheduler.step(at: 1)
        #expect(step.start == [])
        #expect(step.save.map(\.state.name) == [.failed, .failed])
        #expect(try await queue.save(step.save) == [])
        #expect(try await queue.unfinished(after: 0, limit: 10).isEmpty)
    }

    @Test func `a job outside tells all but raw bytes`() throws {
        var job = someJob(4, targets: (0..<120).map { hash($0) })
        job.arguments = ["torrent": .bytes([1, 2, 3]), "paused": true]
        job.state = .failed(Problem(.refused, "no"))
        #expect(job.value["arguments"] == ["torrent": ["bytes": 3], "paused": true])
        #expect(job.value["problem"]?["code"] == "refused")
        #expect(job.summary["arguments"] == nil)
        #expect(job.summary["hashes"]?.array?.count == 100)
        #expect(job.summary["targets"] == 120)
        #expect(job.summary["state"] == "failed")
        job.state = .done(["hash": "x"])
        #expect(job.value["result"] == ["hash": "x"])
    }

    @Test func `a request that is not what it must be is refused in a sentence`() async throws {
        var requests: [JobRequest] = []
        func bad(_ change: (inout JobRequest) -> Void) {
            var request = someRequest()
            change(&request)
            requests.append(request)
        }
        bad { $0.box = "" }
        bad { $0.box = "a b" }
        bad { $0.verb = "torrent.start\n" }
        bad { $0.verb = String(repeating: "x", count: 65) }
        bad { $0.key = "short" }
        bad { $0.key = String(repeating: "G", count: 32) }
        bad { $0.expiry = .zero }
        bad { $0.expiry = .seconds(-1) }
        bad { $0.expiry = .seconds(Int64.max / 2) }
        bad { $0.who = String(repeating: "x", count: 300) }
        bad { $0.targets = [InfoHash](repeating: hash(1), count: 10_001) }
        for request in requests {
            #expect(throws: Problem.self) { try request.job(at: 0, defaultExpiry: .seconds(1)) }
        }
        var deep = Value.null
        for _ in 0..<100 { deep = .array([deep]) }
        var job = someJob(1)
        job.arguments = deep
        #expect(throws: Problem.self) { try job.newRow() }
        job.arguments = .bytes([UInt8](repeating: 0, count: Job.largestRequest))
        #expect(throws: Problem.self) { try job.newRow() }
        let keys = Set((0..<100).map { _ in JobRequest.makeKey() })
        #expect(keys.count == 100 && keys.allSatisfy { $0.utf8.count == 32 })
    }
}
