// Events survive their way into a value and back, and nothing malformed passes for one.
import Notation
import Seedbox
import Testing

private let first = InfoHash(String(repeating: "a1", count: 20))!
private let second = InfoHash(String(repeating: "b2", count: 20))!

@Suite struct EventTests {
    @Test(
        "An event read back is the event that was written",
        arguments: [
            Event.snapshot(
                position: Position(epoch: 7, seq: 3),
                part: 0,
                parts: 2,
                torrents: [
                    Torrent(hash: first, [.name: "<img src=x>", .progress: 0.5, .labels: ["film"]]),
                    Torrent(hash: second, [.status: "stopped"]),
                ]
            ),
            .delta(position: Position(epoch: 7, seq: 4), Delta(set: [first: [.progress: 0.75]], del: [second])),
            .delta(position: Position(epoch: 7, seq: 5), Delta(set: [first: [.message: .null]])),
            .delta(
                position: Position(epoch: 7, seq: 6),
                Delta(set: [first: [.status: "seeding"]]),
                steps: [first: [.left: -16_384, .progress: 3], second: [.up: .max]]
            ),
            .daemon(DaemonStatus(.busy, "Transmission has not answered for 12 s.")),
            .daemon(DaemonStatus(.down, "Nothing answers."), age: 42_000),
            .session(["down": 12]),
            .host(["load": 0.5]),
        ]
    )
    func roundTrip(event: Event) {
        #expect(Event(event.value) == event)
    }

    @Test(
        "A value that is no event is refused",
        arguments: [
            Value.null, "snapshot", ["kind": "party"],
            ["kind": "delta", "epoch": 1, "seq": -1],
            ["kind": "delta", "epoch": 1, "seq": 1, "set": ["not a hash": ["name": "x"]]],
            ["kind": "delta", "epoch": 1, "seq": 1, "del": [3]],
            ["kind": "delta", "epoch": 1, "seq": 1, "rows": []],
            ["kind": "delta", "epoch": 1, "seq": 1, "fields": ["up"], "rows": [[.string(first.hex), "x"]]],
            ["kind": "delta", "epoch": 1, "seq": 1, "fields": ["up"], "rows": [[.string(first.hex), 1, 2]]],
            ["kind": "delta", "epoch": 1, "seq": 1, "fields": ["up"], "rows": [["no hash", 1]]],
            ["kind": "snapshot", "epoch": 1, "seq": 1, "part": 2, "parts": 2, "fields": [], "rows": []],
            ["kind": "snapshot", "epoch": 1, "seq": 1, "part": 0, "parts": 1, "fields": ["name"], "rows": [["x"]]],
            ["kind": "daemon", "state": "asleep", "message": ""],
        ]
    )
    func malformed(value: Value) {
        #expect(Event(value) == nil)
    }

    @Test("A field of a newer agent is passed over, the rest is read")
    func unknownField() {
        let value: Value = [
            "kind": "delta", "epoch": 1, "seq": 1, "set": .map([first.hex: ["aura": "purple", "up": 4]]),
        ]
        #expect(Event(value) == .delta(position: Position(epoch: 1, seq: 1), Delta(set: [first: [.up: 4]])))
    }

    @Test("A step of a field of a newer agent is passed over, and so is one of nothing")
    func unknownStep() {
        let value: Value = [
            "kind": "delta", "epoch": 1, "seq": 1, "fields": ["aura", "down", "up"],
            "rows": [[.string(first.hex), "purple", 0, 4], [.string(second.hex), 5, 0, 0]],
        ]
        let position = Position(epoch: 1, seq: 1)
        #expect(Event(value) == .delta(position: position, Delta(), steps: [first: [.up: 4]]))
    }
}
