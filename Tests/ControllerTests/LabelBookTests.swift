/// What guests are told of a change: theirs, whole when it becomes theirs, and nothing of other torrents.
import Notation
import Seedbox
import Testing

@testable import Controller
@testable import Web

private let scopes = ["s": ["music", "linux"]]

private func hash(_ digit: Character) -> InfoHash { InfoHash(String(repeating: digit, count: 40))! }

/// A box of torrents, and what guests of the scope know of it.
private struct Follower {
    let book = LabelBook()
    var table = TorrentTable(position: Position(epoch: 1, seq: 0))
    var guests = TorrentTable(position: Position(epoch: 1, seq: 0))

    /// The part of the delta that guests get.
    mutating func apply(_ delta: Delta) -> Delta {
        table.apply(delta)
        let part = book.parts(of: delta, of: "vps", table, for: scopes)["s"] ?? Delta()
        guests.apply(part)
        return part
    }
}

@Suite struct LabelBookTests {
    @Test func `a torrent comes whole, changes, and goes with its label`() {
        var follower = Follower()
        let (mine, other) = (hash("a"), hash("b"))
        let new = Delta(set: [
            mine: [.name: "m", .size: 1, .labels: ["music"]], other: [.name: "o", .size: 2, .labels: ["private"]],
        ])
        #expect(follower.apply(new) == Delta(set: [mine: [.name: "m", .size: 1, .labels: ["music"]]]))
        #expect(
            follower.apply(Delta(set: [mine: [.size: .null], other: [.size: 3]])) == Delta(set: [mine: [.size: .null]])
        )
        let shared = follower.apply(Delta(set: [other: [.labels: ["private", "linux"]]]))
        #expect(shared == Delta(set: [other: [.name: "o", .size: 3, .labels: ["private", "linux"]]]))
        #expect(follower.apply(Delta(set: [mine: [.labels: []]])) == Delta(del: [mine]))
        #expect(follower.apply(Delta(set: [mine: [.size: 9]])) == Delta())
        #expect(follower.apply(Delta(del: [mine, other])) == Delta(del: [other]))
    }

    @Test func `whatever happens, guests know what they would get anew`() {
        var follower = Follower()
        var generator = SystemRandomNumberGenerator()
        let labels: [Value] = [["music"], ["private"], ["private", "linux"], [], .null]
        for step in 0..<2_000 as Range<Int64> {
            let digit = Character(String(Int.random(in: 0..<8, using: &generator)))
            var delta = Delta()
            if Int.random(in: 0..<4, using: &generator) == 0, follower.table.torrents[hash(digit)] != nil {
                delta.del = [hash(digit)]
            } else {
                delta.set[hash(digit)] = [.size: .int(step)]
                if Bool.random(using: &generator) { delta.set[hash(digit)]?[.labels] = labels.randomElement() }
            }
            _ = follower.apply(delta)
            let seen = follower.table.torrents.filter { !Set($0.value.labels).isDisjoint(with: ["music", "linux"]) }
            #expect(follower.guests.torrents == seen)
        }
    }

    @Test func `a scope is the same for the same labels only`() {
        #expect(GuestScopes.name(of: ["a", "b"]) == GuestScopes.name(of: ["b", "a", "a"]))
        #expect(GuestScopes.name(of: ["a", "b"]) != GuestScopes.name(of: ["ab"]))
        #expect(GuestScopes.name(of: ["a"]).count == 32)
    }
}
