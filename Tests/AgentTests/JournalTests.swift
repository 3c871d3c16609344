import Notation
import Seedbox
import Synchronization
import Testing
import Transmission

@testable import Agent

@Suite(.timeLimit(.minutes(1))) struct JournalTests {
    private let temporary: TemporaryDirectory
    private var directory: StateDirectory { temporary.state }
    private let runs = Counter()

    init() throws {
        temporary = try TemporaryDirectory()
    }

    final class Counter: Sendable {
        private let count = Mutex(0)
        var value: Int { count.withLock(\.self) }
        func step() { count.withLock { $0 += 1 } }
    }

    private func once(_ journal: Journal, _ key: String?, _ number: Int64 = 1) async throws -> Value {
        var arguments: [String: Value] = ["n": .int(number)]
        if let key { arguments["key"] = .string(key) }
        return try await journal.once("torrent.stop", .map(arguments)) { [runs] attempt in
            runs.step()
            return ["n": .int(number), "may": .bool(attempt.mayBeDone)]
        }
    }

    @Test func `a key runs once, also for the next process`() async throws {
        let first = try await once(Journal(directory), "a")
        #expect(first == ["n": 1, "may": false])
        let second = try await once(Journal(directory), "a")
        #expect(second == ["n": 1, "may": false, "repeated": true])
        #expect(runs.value == 1)
    }

    @Test func `without a key it runs each time`() async throws {
        let journal = Journal(directory)
        for _ in 0..<3 { _ = try await once(journal, nil) }
        #expect(runs.value == 3)
    }

    @Test func `a key of another command is a conflict`() async throws {
        let journal = Journal(directory)
        _ = try await once(journal, "a")
        let problem = await #expect(throws: Problem.self) { try await once(journal, "a", 2) }
        #expect(problem?.code == .conflict)
    }

    @Test func `what may have been done is found out by the repetition, also in the next process`() async throws {
        let journal = Journal(directory)
        let problem = await #expect(throws: Problem.self) {
            try await journal.once("x", ["key": "u"]) { _ in
                throw UnsettledProblem(Problem(.transmissionDown, "It went away."))
            }
        }
        #expect(problem?.code == .transmissionDown)
        #expect(try await journal.once("x", ["key": "u"]) { ["may": .bool($0.mayBeDone)] } == ["may": true])
        #expect(try await Journal(directory).once("x", ["key": "u"]) { _ in [:] }["repeated"] == true)
    }

    @Test func `a repetition gets what the killed attempt noted before it acted`() async throws {
        let digest = Journal.digest("x", ["key": "n"])
        let begun = #"{"key":"n","digest":"\#(digest)","time":\#(WallClock.seconds),"state":"begun","process":"1-0""#
        try SmallFile.replace(
            directory.path + "/journal",
            with: Array((begun + "}\n" + begun + ",\"before\":{\"a\":3}}\n").utf8)
        )
        await #expect(throws: Problem.self) {
            try await Journal(directory).once("x", ["key": "n"]) { attempt in
                #expect(attempt.mayBeDone && attempt.before == ["a": 3])
                throw UnsettledProblem(Problem(.transmissionDown, "It went away."))
            }
        }
        // What was noted once outlives the attempts that do not note.
        let told = try await Journal(directory).once("x", ["key": "n"]) { attempt in
            try attempt.note(["a": 4])
            return attempt.before ?? .null
        }
        #expect(told == ["a": 3])
    }

    @Test func `a failure may be tried again`() async throws {
        let journal = Journal(directory)
        await #expect(throws: Problem.self) {
            try await journal.once("x", ["key": "f"]) { _ in throw Problem(.refused, "no") }
        }
        #expect(try await journal.once("x", ["key": "f"]) { ["may": .bool($0.mayBeDone)] } == ["may": false])
    }

    @Test func `what a killed process began may be done, and is looked at`() async throws {
        // As a process leaves it that was killed between the command and its result; its number is nobody's.
        let digest = Journal.digest("torrent.stop", ["n": 1, "key": "k"])
        let line = #"{"key":"k","digest":"\#(digest)","time":\#(WallClock.seconds),"state":"begun","process":"1-0"}"#
        try SmallFile.replace(directory.path + "/journal", with: Array((line + "\n").utf8))
        #expect(try await once(Journal(directory), "k") == ["n": 1, "may": true])
        #expect(try await once(Journal(directory), "k")["repeated"] == true)
        #expect(runs.value == 1)
    }

    @Test func `a line that a crash cut off is as if it were not there`() async throws {
        _ = try await once(Journal(directory), "a")
        let file = directory.path + "/journal"
        let bytes = try SmallFile.read(file, limit: 1 << 20)
        for cut in 0...bytes.count {
            let records = JournalFile.parse(Array(bytes[..<cut]), now: WallClock.seconds)
            #expect(records.count <= 1)
        }
        try SmallFile.replace(file, with: bytes + Array(#"{"key":"b","dig"#.utf8))
        let journal = Journal(directory)
        _ = try await once(journal, "c")
        #expect(try await once(Journal(directory), "c")["repeated"] == true)
        #expect(try await once(Journal(directory), "a")["repeated"] == true)
    }

    @Test func `the same key at the same time runs once`() async throws {
        let journal = Journal(directory)
        try await withThrowingTaskGroup(of: Value.self) { group in
            for _ in 0..<20 { group.addTask { try await self.once(journal, "same") } }
            for try await value in group { #expect(value["n"] == 1) }
        }
        #expect(runs.value == 1)
    }

    @Test func `two agents share the file`() async throws {
        let (one, two) = (Journal(directory), Journal(directory))
        _ = try await once(one, "a")
        #expect(try await once(two, "a")["repeated"] == true)
        _ = try await once(two, "b")
        #expect(try await once(one, "b")["repeated"] == true)
    }

    @Test(arguments: ["", "with space", "ü", String(repeating: "x", count: 129), "a\nb"])
    func `a key is short and printable`(_ key: String) async throws {
        let problem = await #expect(throws: Problem.self) { try await once(Journal(directory), key) }
        #expect(problem?.code == .badRequest)
    }

    @Test func `without a state directory commands still run`() async throws {
        #expect(try await once(Journal(nil), "a") == ["n": 1, "may": false])
    }

    @Test func `a lower controller epoch than the highest seen is refused`() throws {
        try directory.admit(controllerEpoch: 5)
        try directory.admit(controllerEpoch: 5)
        try directory.admit(controllerEpoch: 9)
        let problem = #expect(throws: Problem.self) { try directory.admit(controllerEpoch: 8) }
        #expect(problem?.code == .controllerOutdated)
        try SmallFile.replace(directory.path + "/epoch", with: Array("nonsense".utf8))
        #expect(throws: Problem.self) { try directory.admit(controllerEpoch: 10) }
    }
}
