// The outbox's rows: one for each key, never changed after their end.

import GRDB
import Seedbox
import Testing

@testable import Store

@Suite struct JobTableTests {
    @Test func `a key is accepted once, however many ask at once`() async throws {
        let scratch = try ScratchLedger()
        let ledger = try await scratch.open()
        let answers = try await withThrowingTaskGroup(of: (Int64, Bool).self) { group in
            for index in 0..<200 {
                group.addTask {
                    let (row, isNew) = try await ledger.jobs.accept(someRow(index % 20), maximumUnfinished: 100)
                    return (row.id, isNew)
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(answers.filter(\.1).count == 20)
        #expect(Set(answers.map(\.0)).count == 20)
    }

    @Test func `a failed write leaves the others of its commit alone`() async throws {
        let scratch = try ScratchLedger()
        let ledger = try await scratch.open()
        let results = await withTaskGroup(of: (Int, Bool).self) { group in
            for number in 0..<60 {
                group.addTask {
                    do {
                        _ = try await ledger.write { database in
                            try database.execute(
                                sql: "INSERT INTO counters VALUES (?, 1)",
                                arguments: ["\(number)"]
                            )
                            if number.isMultiple(of: 3) { throw Problem(.refused, "no") }
                        }
                        return (number, true)
                    } catch { return (number, false) }
                }
            }
            return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }
        for (number, isWritten) in results { #expect(isWritten == !number.isMultiple(of: 3)) }
        let kept = try await ledger.read { try Set(String.fetchAll($0, sql: "SELECT name FROM counters")) }
        #expect(kept == Set(results.filter(\.value).map { "\($0.key)" }))
    }

    @Test func `the outbox takes no more than its bound`() async throws {
        let scratch = try ScratchLedger()
        let ledger = try await scratch.open()
        for number in 0..<5 { _ = try await ledger.jobs.accept(someRow(number), maximumUnfinished: 5) }
        let problem = await #expect(throws: Problem.self) {
            _ = try await ledger.jobs.accept(someRow(5), maximumUnfinished: 5)
        }
        #expect(problem?.code == .refused)
        // Who asks again for one that is in gets it.
        #expect(try await !ledger.jobs.accept(someRow(4), maximumUnfinished: 5).isNew)
    }

    @Test func `an ended row is not changed again`() async throws {
        let scratch = try ScratchLedger()
        let table = try await scratch.open().jobs
        var first = try await table.accept(someRow(1), maximumUnfinished: 5).row
        var second = try await table.accept(someRow(2), maximumUnfinished: 5).row
        first.state = "cancelled"
        first.endedAt = 9
        #expect(try await table.save([first]) == [])
        first.state = "sent"
        first.endedAt = nil
        second.state = "sent"
        #expect(try await table.save([first, second]) == [first.id])
        #expect(try await table.row(first.id)?.state == "cancelled")
        #expect(try await table.row(second.id)?.state == "sent")
    }

    @Test func `old rows are forgotten, unfinished ones never`() async throws {
        let scratch = try ScratchLedger()
        let table = try await scratch.open().jobs
        for number in 1...10 {
            var row = try await table.accept(someRow(number), maximumUnfinished: 100).row
            guard number <= 8 else { continue }
            row.state = "done"
            row.endedAt = Int64(number)
            _ = try await table.save([row])
        }
        #expect(try await table.forget(endedBefore: 3, keeping: 100) == 2)
        #expect(try await table.forget(endedBefore: 0, keeping: 4) == 2)
        #expect(try await table.rows(JobRowFilter(limit: 100)).map(\.id) == [5, 6, 7, 8, 9, 10])
        #expect(try await table.counts() == ["done": 4, "accepted": 2])
        #expect(try await table.accept(someRow(11), maximumUnfinished: 100).row.id == 11)
    }

    @Test func `lists are narrowed and turned`() async throws {
        let scratch = try ScratchLedger()
        let table = try await scratch.open().jobs
        for number in 1...6 {
            var row = someRow(number)
            row.box = number.isMultiple(of: 2) ? "even" : "odd"
            row.who = number < 4 ? "ann" : "bob"
            _ = try await table.accept(row, maximumUnfinished: 100)
        }
        var filter = JobRowFilter(limit: 2)
        filter.box = "even"
        filter.newestFirst = true
        #expect(try await table.rows(filter).map(\.id) == [6, 4])
        filter.before = 6
        filter.who = "ann"
        #expect(try await table.rows(filter).map(\.id) == [2])
        filter.states = ["done", "sent"]
        #expect(try await table.rows(filter).isEmpty)
    }
}
