// What a hello may say, and which version two of them agree on.
import Notation
import Testing
import Wire

@Suite struct HelloTests {
    @Test func `A hello survives the wire`() throws {
        let hello = Hello(
            software: "farseed-agent 0.1.0",
            capabilities: ["watch", "exec"],
            role: "read",
            credit: 65_536,
            epoch: 9,
            versions: 2...5
        )
        #expect(try Hello(hello.value) == hello)
    }

    @Test func `Only the versions are required, and unknown keys are ignored`() throws {
        let hello = try Hello(["versions": [1, 3], "colour": "green"])
        #expect(hello == Hello(software: "", versions: 1...3))
        #expect(hello.credit == 262_144)
    }

    @Test(
        arguments: [
            [:], nil, ["versions": 1], ["versions": [1]], ["versions": [2, 1]], ["versions": [0, 1]],
            ["versions": [1, 65_536]], ["versions": [1, 1, 1]], ["versions": ["1", "1"]],
            ["versions": [1, 1], "software": 7],
            ["versions": [1, 1], "software": .string(String(repeating: "x", count: 257))],
            ["versions": [1, 1], "capabilities": "watch"],
            ["versions": [1, 1], "capabilities": [1]],
            ["versions": [1, 1], "capabilities": .array([Value](repeating: "x", count: 65))],
            ["versions": [1, 1], "role": 1],
            ["versions": [1, 1], "credit": 0], ["versions": [1, 1], "credit": 1_023],
            ["versions": [1, 1], "credit": 16_777_217], ["versions": [1, 1], "credit": -1],
            ["versions": [1, 1], "epoch": -1], ["versions": [1, 1], "epoch": "now"],
        ] as [Value]
    )
    func `A hello that says nothing legal is an error`(_ value: Value) {
        #expect(throws: WireError.self) { try Hello(value) }
    }

    @Test(
        arguments: [
            (1...1, 1...1, 1), (1...1, 1...3, 1), (1...3, 2...9, 3), (2...3, 1...2, 2), (1...1, 2...2, nil),
            (4...9, 1...3, nil),
        ] as [(ClosedRange<Int>, ClosedRange<Int>, Int?)]
    )
    func `The highest common version is used`(_ ours: ClosedRange<Int>, _ theirs: ClosedRange<Int>, _ version: Int?) {
        let one = Hello(software: "one", versions: ours)
        let other = Hello(software: "other", versions: theirs)
        #expect(one.version(with: other) == version)
        #expect(other.version(with: one) == version)
    }
}
