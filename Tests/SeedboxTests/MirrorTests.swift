// The mirror follows an agent through snapshots, deltas, gaps and restarts in one numbering of its own.
import Notation
import Seedbox
import Testing

private let a = InfoHash(String(repeating: "a", count: 40))!
private let b = InfoHash(String(repeating: "b", count: 40))!

@Suite struct MirrorTests {
    private func at(_ epoch: Int64, _ seq: Int64) -> Position { Position(epoch: epoch, seq: seq) }

    private func live() -> Mirror {
        var mirror = Mirror(epoch: 1)
        _ = mirror.received(
            .snapshot(position: at(9, 5), part: 0, parts: 1, torrents: [Torrent(hash: a, [.up: 1, .name: "a"])])
        )
        return mirror
    }

    @Test("A snapshot counts only when its last part is here")
    func parts() {
        var mirror = Mirror(epoch: 1)
        let first = mirror.received(.snapshot(position: at(9, 5), part: 0, parts: 2, torrents: [Torrent(hash: a)]))
        #expect(first == .nothing)
        #expect(mirror.table.torrents.isEmpty && mirror.agentPosition == nil)
        let second = mirror.received(.snapshot(position: at(9, 5), part: 1, parts: 2, torrents: [Torrent(hash: b)]))
        #expect(second == .torrents(Delta(set: [a: [:], b: [:]])))
        #expect(mirror.agentPosition == at(9, 5))
        #expect(mirror.table.position == at(1, 1))
    }

    @Test("Whole snapshots and deltas that fit are counted")
    func counts() {
        var mirror = live()
        _ = mirror.received(.delta(position: at(9, 6), Delta(del: [a])))
        _ = mirror.received(.delta(position: at(9, 7), Delta()))
        _ = mirror.received(.delta(position: at(9, 9), Delta()))
        _ = mirror.received(.snapshot(position: at(9, 9), part: 0, parts: 2, torrents: []))
        #expect(mirror.counts.snapshots == 1 && mirror.counts.deltas == 2)
        _ = mirror.received(.snapshot(position: at(9, 9), part: 1, parts: 2, torrents: []))
        #expect(mirror.counts.snapshots == 2 && mirror.counts.deltas == 2)
    }

    @Test("An agent's new epoch reaches watchers as one more delta")
    func newEpoch() {
        var mirror = live()
        let change = mirror.received(
            .snapshot(
                position: at(10, 0),
                part: 0,
                parts: 1,
                torrents: [Torrent(hash: a, [.up: 2, .name: "a"]), Torrent(hash: b, [.name: "b"])]
            )
        )
        #expect(change == .torrents(Delta(set: [a: [.up: 2], b: [.name: "b"]])))
        #expect(mirror.table.position == at(1, 2))
    }

    @Test("A missing or repeated delta is a gap that keeps the last data", arguments: [5, 7, 100] as [Int64])
    func gap(seq: Int64) {
        var mirror = live()
        let table = mirror.table
        let change = mirror.received(.delta(position: at(9, seq), Delta(del: [a])))
        #expect(change == .gap)
        #expect(mirror.table == table)
        #expect(mirror.agentPosition == nil)
    }

    @Test("Steps lead on from what is known and reach watchers as values")
    func steps() {
        var mirror = live()
        let rest = Delta(set: [a: [.name: "b"]])
        let change = mirror.received(.delta(position: at(9, 6), rest, steps: [a: [.up: 41]]))
        #expect(change == .torrents(Delta(set: [a: [.name: "b", .up: 42]])))
        #expect(mirror.table.torrents[a]?[.up] == 42)
    }

    @Test(
        "Steps from what is no number here, or beyond all numbers, are a gap",
        arguments: [[a: [.name: 1]], [a: [.down: 1]], [b: [.up: 1]], [a: [.up: .max]]] as [Steps]
    )
    func impossibleSteps(steps: Steps) {
        var mirror = live()
        let table = mirror.table
        #expect(mirror.received(.delta(position: at(9, 6), Delta(), steps: steps)) == .gap)
        #expect(mirror.table == table)
        mirror = live()
        #expect(mirror.received(.delta(position: at(9, 6), Delta(del: [a]), steps: [a: [.up: 1]])) == .gap)
    }

    @Test("Parts out of order, of another position or too many are a gap")
    func partsOutOfOrder() {
        for (part, position) in [(2, at(9, 9)), (1, at(9, 8)), (1, at(8, 9))] {
            var mirror = live()
            _ = mirror.received(.snapshot(position: at(9, 9), part: 0, parts: 3, torrents: []))
            let change = mirror.received(.snapshot(position: position, part: part, parts: 3, torrents: []))
            #expect(change == .gap)
            #expect(mirror.table.torrents.keys.sorted() == [a])
        }
    }

    @Test("A watch that begins anew forgets the half snapshot of the one before")
    func restart() {
        var mirror = live()
        _ = mirror.received(.snapshot(position: at(9, 9), part: 0, parts: 2, torrents: []))
        mirror.watchBegan()
        let change = mirror.received(.delta(position: at(9, 6), Delta(set: [a: [.up: 3]])))
        #expect(change == .torrents(Delta(set: [a: [.up: 3]])))
    }

    @Test("The same daemon status, session or host figures twice change nothing")
    func same() {
        var mirror = live()
        let events: [Event] = [.daemon(DaemonStatus(.up)), .session(["down": 1]), .host(["load": 0.5])]
        #expect(events.map { mirror.received($0) } == [.daemon, .session, .host])
        #expect(events.map { mirror.received($0) } == [.nothing, .nothing, .nothing])
    }

    @Test("A new watch must say anew whether Transmission answers")
    func newWatch() {
        var mirror = live()
        _ = mirror.received(.daemon(DaemonStatus(.up)))
        mirror.watchBegan()
        #expect(mirror.daemon == nil)
    }
}
