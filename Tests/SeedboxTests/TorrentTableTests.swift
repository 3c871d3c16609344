// A table that applies every delta equals the one the deltas were made from.
import Notation
import Seedbox
import Testing

@Suite struct TorrentTableTests {
    @Test("Deltas between random tables lead from each to the next", arguments: [1, 2, 3, 4, 5] as [UInt64])
    func deltasLeadOn(seed: UInt64) {
        var random = SplitMix(state: seed)
        var source = TorrentTable(position: Position(epoch: 1, seq: 0))
        var mirror = source
        var torrents: [InfoHash: Torrent] = [:]
        for _ in 0..<200 {
            for _ in 0..<Int.random(in: 0...4, using: &random) { mutate(&torrents, &random) }
            let delta = source.delta(to: torrents)
            source.apply(delta)
            #expect(source.torrents == torrents)
            let sent = Event.delta(position: source.position, delta).value
            guard case .delta(let position, let received, _)? = Event(sent) else {
                Issue.record("the delta did not survive the wire")
                return
            }
            let applied = mirror.apply(received, for: position)
            #expect(applied)
        }
        #expect(mirror == source)
    }

    @Test("A delta after a gap changes nothing and is reported")
    func gap() {
        var table = TorrentTable(position: Position(epoch: 1, seq: 4))
        let before = table
        let hash = InfoHash(String(repeating: "0", count: 40))!
        let delta = Delta(set: [hash: [.name: "x"]])
        for position in [Position(epoch: 1, seq: 6), Position(epoch: 1, seq: 4), Position(epoch: 2, seq: 5)] {
            let applied = table.apply(delta, for: position)
            #expect(!applied)
            #expect(table == before)
        }
    }

    @Test("A torrent without any field is still told of")
    func bareTorrent() {
        let hash = InfoHash(String(repeating: "0", count: 40))!
        let table = TorrentTable(position: Position(epoch: 1, seq: 0))
        #expect(table.delta(to: [hash: Torrent(hash: hash)]) == Delta(set: [hash: [:]]))
    }

    private func mutate(_ torrents: inout [InfoHash: Torrent], _ random: inout SplitMix) {
        let digit = String(Int.random(in: 0..<8, using: &random))
        let hash = InfoHash(String(repeating: digit, count: 40))!
        switch Int.random(in: 0..<4, using: &random) {
        case 0: torrents[hash] = nil
        case 1: torrents[hash] = Torrent(hash: hash, [.name: .string("torrent \(digit)"), .left: 100])
        case 2: torrents[hash]?[.left] = .int(Int64.random(in: 0...100, using: &random))
        default: torrents[hash]?[.message] = .null
        }
    }
}

/// A small generator with a fixed seed, so that a failure can be seen again.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
