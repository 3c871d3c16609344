// Undoing: the way back is kept before the way out is taken.

import Notation
import Seedbox
import Store
import Testing

@testable import Jobs

@Suite(.timeLimit(.minutes(2))) struct UndoTests {
    private let recipe = UndoRecipe(
        verb: "torrent.add",
        arguments: ["magnet": "magnet:?xt=urn:btih:1", "directory": "/data"],
        targets: [hash(1)]
    )

    private func outbox(_ queue: any JobQueue, _ executor: ScriptedExecutor) -> Outbox {
        var configuration = OutboxConfiguration()
        configuration.timing.firstPause = 1
        return Outbox(queue: queue, executor: executor, configuration: configuration, logger: quiet)
    }

    @Test(arguments: Engine.allCases)
    func `the newest job that added a torrent is found with the file it was given`(engine: Engine) async throws {
        let scratch = try ScratchState()
        let queue = try await engine.queue(in: scratch)
        let executor = ScriptedExecutor { job in
            guard job.verb == "torrent.add" else { return ["removed": [.string(hash(1).hex)]] }
            return ["hash": .string(job.box == "vps" ? hash(1).hex : hash(2).hex), "name": "one"]
        }
        let outbox = outbox(queue, executor)
        try await running(outbox) {
            for (box, arguments) in [
                ("vps", ["metainfo": .bytes([1])]), ("vps", ["metainfo": .bytes([2])]),
                ("other", ["metainfo": .bytes([3])]),
                // The same once more by its link, which is none to bring it back by.
                ("vps", ["magnet": "magnet:?xt=urn:btih:1"]),
            ] as [(String, Value)] {
                let job = try await outbox.submit(
                    JobRequest(
                        box: box,
                        verb: "torrent.add",
                        arguments: arguments,
                        targets: [],
                        who: "ann",
                        origin: "::1"
                    )
                )
                _ = try await outbox.ended(job.id)
            }
            let removal = try await outbox.submit(someRequest(targets: [hash(1)], verb: "torrent.remove"))
            _ = try await outbox.ended(removal.id)
        }
        #expect(try await queue.addition(of: hash(1), to: "vps")?.arguments["metainfo"] == .bytes([2]))
        #expect(try await queue.addition(of: hash(2), to: "vps") == nil)
        #expect(try await queue.addition(of: hash(2), to: "other")?.arguments["metainfo"] == .bytes([3]))
        #expect(try await queue.addition(of: hash(1), to: "other") == nil)
    }

    @Test(arguments: Engine.allCases)
    func `a removed torrent comes back by its recipe, once`(engine: Engine) async throws {
        let scratch = try ScratchState()
        let queue = try await engine.queue(in: scratch)
        let recipe = recipe
        let executor = ScriptedExecutor(undoing: { $0.verb == "torrent.remove" ? recipe : nil }) { job in
            // Before the removal is executed, the way back is on disk.
            if job.verb == "torrent.remove" {
                let stored = try await queue.job(job.id)
                #expect(stored?.undo == recipe)
            }
            return .null
        }
        let outbox = outbox(queue, executor)
        try await running(outbox) {
            let removal = try await outbox.submit(someRequest(targets: [hash(1)], verb: "torrent.remove"))
            #expect(try await outbox.ended(removal.id).isUndoable)
            let answers = await withTaskGroup(of: Job?.self) { group in
                for _ in 0..<10 { group.addTask { try? await outbox.undo(nil, who: "owner", origin: "::1") } }
                var jobs: [Job] = []
                for await job in group { if let job { jobs.append(job) } }
                return jobs
            }
            let undoing = try #require(answers.first)
            #expect(answers.count == 1)
            #expect(undoing.verb == "torrent.add")
            #expect(undoing.arguments == recipe.arguments)
            #expect(undoing.undoes == removal.id)
            #expect(try await outbox.ended(undoing.id).state.name == .done)
            #expect(try await outbox.job(removal.id).undoneBy == undoing.id)
            let problem = await #expect(throws: Problem.self) {
                _ = try await outbox.undo(removal.id, who: "owner", origin: "::1")
            }
            #expect(problem?.code == .conflict)
        }
        #expect(executor.executed.map(\.verb) == ["torrent.remove", "torrent.add"])
    }

    @Test(arguments: Engine.allCases)
    func `who asks twice with one key has undone once`(engine: Engine) async throws {
        let scratch = try ScratchState()
        let recipe = recipe
        let outbox = outbox(try await engine.queue(in: scratch), ScriptedExecutor(undoing: { _ in recipe }))
        try await running(outbox) {
            let removal = try await outbox.ended(outbox.submit(someRequest(verb: "torrent.remove")).id)
            let key = JobRequest.makeKey()
            let first = try await outbox.undo(removal.id, who: "owner", origin: "::1", key: key)
            #expect(try await outbox.undo(removal.id, who: "owner", origin: "::1", key: key).id == first.id)
        }
    }

    @Test(arguments: Engine.allCases)
    func `what changed nothing or kept nothing is not undone`(engine: Engine) async throws {
        let scratch = try ScratchState()
        let recipe = recipe
        let executor = ScriptedExecutor(undoing: { $0.arguments["number"] == 1 ? recipe : nil }) { job in
            if job.arguments["number"] == 1 { throw Problem(.notFound, "gone") }
            return .null
        }
        let outbox = outbox(try await engine.queue(in: scratch), executor)
        try await running(outbox) {
            for number in 1...2 {
                let job = try await outbox.ended(outbox.submit(someRequest(number, verb: "torrent.remove")).id)
                let problem = await #expect(throws: Problem.self) {
                    _ = try await outbox.undo(job.id, who: "owner", origin: "::1")
                }
                #expect(problem?.code == .refused)
            }
            let none = await #expect(throws: Problem.self) {
                _ = try await outbox.undo(nil, who: "somebody else", origin: "::1")
            }
            #expect(none?.code == .notFound)
        }
    }

    @Test(arguments: Engine.allCases)
    func `a removal whose answer was lost keeps the recipe of its first attempt`(engine: Engine) async throws {
        let scratch = try ScratchState()
        let recipe = recipe
        let executor = ScriptedExecutor(undoing: { job in
            if job.attempts > 1 { throw Problem(.notFound, "It is gone, so there is nothing to describe.") }
            return recipe
        }) { job in
            if job.attempts == 1 { throw Problem(.connectionLost, "gone") }
            return .null
        }
        let outbox = outbox(try await engine.queue(in: scratch), executor)
        let job = try await running(outbox) {
            try await outbox.ended(outbox.submit(someRequest(verb: "torrent.remove")).id)
        }
        #expect(job.state.name == .done)
        #expect(job.undo == recipe)
    }

    @Test(arguments: Engine.allCases)
    func `a link that breaks while the recipe is asked for costs an attempt, not the job`(engine: Engine) async throws {
        let scratch = try ScratchState()
        let recipe = recipe
        let executor = ScriptedExecutor(undoing: { job in
            if job.attempts == 1 { throw Problem(.linkDown, "down") }
            return recipe
        })
        let outbox = outbox(try await engine.queue(in: scratch), executor)
        let job = try await running(outbox) {
            try await outbox.ended(outbox.submit(someRequest(verb: "torrent.remove")).id)
        }
        #expect(job.isUndoable)
        #expect(executor.executed.count == 1)
    }
}
