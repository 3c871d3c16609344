import Notation
import Seedbox
import Testing

@testable import Transmission

@Suite struct ReplayLogTests {
    private let hashes = (0..<4).map { InfoHash(String(repeating: "\($0)", count: 40))! }

    private func delta(_ number: Int64) -> Delta { Delta(set: [hashes[0]: [.left: .int(number)]]) }

    @Test func `it gives what follows a position, and nothing for the newest`() {
        var log = ReplayLog()
        for seq: Int64 in 1...5 { log.append(delta(seq), seq: seq, now: 0) }
        #expect(log.deltas(after: 2, upTo: 5) == [delta(3), delta(4), delta(5)])
        #expect(log.deltas(after: 5, upTo: 5) == [])
        #expect(log.deltas(after: 6, upTo: 5) == nil)
        #expect(log.deltas(after: 0, upTo: 5)?.count == 5)
    }

    @Test func `what is too old is gone, and so is every position before it`() {
        var log = ReplayLog()
        log.append(delta(1), seq: 1, now: 0)
        log.append(delta(2), seq: 2, now: ReplayLog.oldest + 1)
        #expect(log.deltas(after: 0, upTo: 2) == nil)
        #expect(log.deltas(after: 1, upTo: 2) == [delta(2)])
    }

    @Test func `its size is bounded`() {
        var log = ReplayLog()
        let large = Delta(set: [hashes[0]: [.comment: .string(String(repeating: "x", count: 100_000))]])
        for seq: Int64 in 1...1000 { log.append(large, seq: seq, now: 0) }
        #expect(log.deltas(after: 980, upTo: 1000) == nil)
        #expect(log.deltas(after: 995, upTo: 1000)?.count == 5)
    }

    @Test func `merged deltas lead where the single ones lead`() {
        var generator = Seeded(7)
        for _ in 0..<200 {
            var single = TorrentTable(position: Position(epoch: 1, seq: 0))
            var deltas: [Delta] = []
            for _ in 0..<Int.random(in: 1...8, using: &generator) {
                var delta = Delta()
                for hash in hashes {
                    switch Int.random(in: 0..<4, using: &generator) {
                    case 0: delta.del.insert(hash)
                    case 1: delta.set[hash] = [.left: .int(Int64.random(in: 0..<9, using: &generator))]
                    case 2: delta.set[hash] = [.down: 1, .name: "x"]
                    default: break
                    }
                }
                deltas.append(delta)
                single.apply(delta)
            }
            var together = TorrentTable(position: Position(epoch: 1, seq: 0))
            together.apply(ReplayLog.merged(deltas))
            #expect(together.torrents == single.torrents)
        }
    }
}

/// A small generator with a seed, so that a failure comes back.
struct Seeded: RandomNumberGenerator {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
