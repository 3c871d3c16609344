// What is told by steps arrives as what it was, in fewer bytes.
import Notation
import Seedbox
import Testing

@Suite struct StepsTests {
    private static let hashes = (0..<100).map { number in
        InfoHash(String(repeating: number < 10 ? "0\(number)" : "\(number)", count: 20))!
    }

    private static func position(_ seq: Int64) -> Position { Position(epoch: 1, seq: seq) }

    @Test("A mirror that is told by steps equals one that is told everything", arguments: [1, 2, 3, 4, 5] as [UInt64])
    func sameMirror(seed: UInt64) throws {
        var random = SplitMix(state: seed)
        let begin = Event.snapshot(position: Self.position(0), part: 0, parts: 1, torrents: [])
        var (plain, stepped) = (Mirror(epoch: 1), Mirror(epoch: 1))
        _ = plain.received(begin)
        _ = stepped.received(begin)
        var told = ToldNumbers()
        var count = 0
        for seq: Int64 in 1...200 {
            var delta = Delta()
            // Now and then more of them at once than are kept in mind.
            for hash in Self.hashes.shuffled(using: &random).prefix(seq % 20 == 0 ? 90 : 5) {
                let isKnown = plain.table.torrents[hash] != nil
                if isKnown, Int.random(in: 0..<9, using: &random) == 0 { delta.del.insert(hash) }
                delta.set[hash] = Self.changes(&random)
            }
            if Int.random(in: 0..<9, using: &random) == 0 { told.forget() }
            let (rest, steps) = told.split(delta)
            count += steps.count
            let sent = Event.delta(position: Self.position(seq), rest, steps: steps)
            #expect(Event(sent.value) == sent)
            let change = stepped.received(sent)
            #expect(change != .gap)
            _ = plain.received(.delta(position: Self.position(seq), delta))
            try #require(stepped.table == plain.table)
        }
        #expect(count > 100)
    }

    private static func changes(_ random: inout SplitMix) -> [Field: Value] {
        var changes: [Field: Value] = [:]
        if Bool.random(using: &random) { changes[.left] = .int(.random(in: 0..<4, using: &random)) }
        if Bool.random(using: &random) { changes[.uploaded] = .int(.random(in: .min ... .max, using: &random)) }
        if Bool.random(using: &random) {
            changes[.progress] = .double(Double(Int.random(in: 0...10_000, using: &random)) / 10_000)
        }
        if Bool.random(using: &random) {
            let usual = Double(Int.random(in: 0...9_999_999, using: &random)) / 1000
            let ratios: [Double] = [-1, -2, 0.001, 1.25, 1 / 3, 1e300, usual]
            changes[.ratio] = .double(ratios.randomElement(using: &random)!)
        }
        if Bool.random(using: &random) { changes[.status] = Bool.random(using: &random) ? "seeding" : .null }
        if Bool.random(using: &random) { changes[.eta] = Bool.random(using: &random) ? 5 : 2.5 }
        return changes
    }

    @Test("Only what follows a number that was told, and differs, is a step")
    func split() {
        let hash = Self.hashes[0]
        var told = ToldNumbers()
        let first = told.split(Delta(set: [hash: [.left: 10, .progress: 0.1234, .name: "a"]]))
        #expect(first.rest == Delta(set: [hash: [.left: 10, .progress: 0.1234, .name: "a"]]) && first.steps.isEmpty)
        let second = told.split(Delta(set: [hash: [.left: 7, .progress: 0.1237, .name: "b", .up: 1]]))
        #expect(second.rest == Delta(set: [hash: [.name: "b", .up: 1]]))
        #expect(second.steps == [hash: [.left: -3, .progress: 3]])
        let same = told.split(Delta(set: [hash: [.left: 7]]))
        #expect(same.rest.isEmpty && same.steps.isEmpty)
        let gone = told.split(Delta(del: [hash]))
        #expect(gone.rest == Delta(del: [hash]) && gone.steps.isEmpty)
        let back = told.split(Delta(set: [hash: [.left: 7]]))
        #expect(back.rest == Delta(set: [hash: [.left: 7]]) && back.steps.isEmpty)
    }

    @Test("What is in mind already takes no second place there")
    func places() {
        func delta(_ numbers: Range<Int>, _ left: Int64) -> Delta {
            Delta(set: Dictionary(uniqueKeysWithValues: Self.hashes[numbers].map { ($0, [.left: .int(left)]) }))
        }
        var told = ToldNumbers()
        _ = told.split(delta(0..<40, 10))
        // 40 that are known, and five new ones.
        #expect(told.split(delta(20..<45, 9)).steps.count == 20)
        let others = told.split(delta(0..<20, 8))
        #expect(others.rest.isEmpty && others.steps.count == 20)
        // One more than there is room for: only what changes now is kept.
        _ = told.split(delta(45..<65, 10))
        #expect(told.split(delta(0..<20, 7)).steps.isEmpty)
    }
}
