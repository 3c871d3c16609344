/// Whether a torrent went where a queue command should have brought it, whatever others do meanwhile.
import Seedbox
import Testing

@testable import Transmission

@Suite struct QueueMoveTests {
    /// One torrent for each letter from `a` to `f`.
    private static func torrents(_ letters: String) -> [InfoHash] {
        letters.map { InfoHash(String(repeating: $0, count: 40))! }
    }

    private func isDone(_ move: QueueMove, _ moved: String, _ before: String, _ now: String) -> Bool {
        move.isDone(Set(Self.torrents(moved)), from: Self.torrents(before), to: Self.torrents(now))
    }

    @Test(arguments: [
        (QueueMove.up, "c", "abcd", "acbd"), (.up, "bc", "abcd", "bcad"), (.up, "bd", "abcd", "badc"),
        (.down, "b", "abcd", "acbd"), (.down, "bc", "abcd", "adbc"), (.top, "c", "abcd", "cabd"),
        (.top, "bd", "abcd", "dbac"), (.bottom, "a", "abcd", "bcda"), (.bottom, "ac", "abcd", "bdac"),
        // What is at the end cannot go on, and the others there change places.
        (.up, "a", "abcd", "abcd"), (.up, "ab", "abcd", "bacd"), (.up, "ac", "abcd", "acbd"),
        (.down, "d", "abcd", "abcd"), (.top, "a", "abcd", "abcd"),
        // Others come, go and move; the torrent has moved all the same.
        (.up, "c", "abcd", "eacbd"), (.up, "c", "abcd", "cbd"), (.down, "b", "abcd", "dcbae"),
        (.bottom, "a", "abcd", "bcdae"), (.top, "d", "abcd", "edabc"),
        // It is gone, or the only one.
        (.up, "c", "abcd", "abd"), (.down, "a", "a", "a"),
    ])
    func `a move is seen`(_ move: QueueMove, _ moved: String, _ before: String, _ now: String) {
        #expect(isDone(move, moved, before, now))
    }

    @Test(arguments: [
        (QueueMove.up, "c", "abcd", "abcd"), (.up, "c", "abcd", "abdc"), (.up, "bc", "abcd", "bacd"),
        (.up, "bc", "abcd", "acbd"), (.down, "b", "abcd", "abcd"), (.top, "c", "abcd", "acbd"),
        (.bottom, "a", "abcd", "bcad"), (.top, "bc", "abcd", "bacd"),
        // Only others have moved, come or gone.
        (.up, "d", "abcd", "bacd"), (.up, "c", "abcd", "eabcd"), (.up, "c", "abcd", "bcd"), (.up, "c", "abcd", "abcde"),
        (.down, "b", "abcd", "abc"), (.down, "a", "abcd", "abdc"), (.top, "d", "abcd", "bcd"),
    ])
    func `what others do is not taken for it`(_ move: QueueMove, _ moved: String, _ before: String, _ now: String) {
        #expect(!isDone(move, moved, before, now))
    }
}
