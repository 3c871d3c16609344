import Testing

@testable import Agent

@Suite struct GateTests {
    @Test func `the closed set passes, exactly`() {
        #expect(Gate.decide("farseed-agent serve") == .serve)
        #expect(Gate.decide("farseed-agent version") == .version)
    }

    @Test(arguments: [
        nil, "", " ", "farseed-agent", "farseed-agent serve ", " farseed-agent serve", "farseed-agent  serve",
        "farseed-agent serve --role control", "farseed-agent serve\n", "farseed-agent serve;id", "FARSEED-AGENT SERVE",
        "farseed-agent serve\u{0}", "/bin/sh", "scp -t /", "internal-sftp", "farseed-agent gate --role control",
        "farseed-agent resident", "farseed-agent ѕerve", "$(farseed-agent serve)",
    ])
    func `everything else is refused in one sentence`(_ command: String?) throws {
        guard case .refuse(let sentence) = Gate.decide(command) else {
            Issue.record("it passed")
            return
        }
        #expect(!sentence.contains("\n"))
        #expect(sentence.hasPrefix("farseed-agent: "))
        #expect(sentence.utf8.count < 1500)
    }

    @Test func `ten thousand mutated commands start nothing`() {
        var generator = Seeded(2024)
        let seeds = ["farseed-agent serve", "farseed-agent version"]
        for _ in 0..<10_000 {
            let seed = seeds.randomElement(using: &generator)!
            let command = String(decoding: mutate(Array(seed.utf8), &generator), as: UTF8.self)
            let decision = Gate.decide(command)
            if seeds.contains(command) { continue }
            guard case .refuse(let sentence) = decision else {
                Issue.record("\(command) passed")
                return
            }
            #expect(sentence.unicodeScalars.allSatisfy { $0.value >= 0x20 })
        }
    }

    @Test func `terminal and direction controls do not reach the terminal`() {
        #expect(Shown.text("a\u{1B}[31m\n\u{202E}b\u{9B}") == "a\u{FFFD}[31m\u{FFFD}\u{FFFD}b\u{FFFD}")
        #expect(Shown.text(String(repeating: "x", count: 5000)).count == Shown.longest)
    }
}

/// Changes one to four bytes, cuts, repeats or inserts.
func mutate(_ bytes: [UInt8], _ generator: inout Seeded) -> [UInt8] {
    var bytes = bytes
    for _ in 0...Int.random(in: 0..<4, using: &generator) {
        let place = Int.random(in: 0...bytes.count, using: &generator)
        switch Int.random(in: 0..<5, using: &generator) {
        case 0 where place < bytes.count: bytes[place] = UInt8.random(in: 0...255, using: &generator)
        case 1 where place < bytes.count: bytes.remove(at: place)
        case 2: bytes.insert(UInt8.random(in: 0...255, using: &generator), at: place)
        case 3 where place < bytes.count: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
        case 4: bytes.insert(contentsOf: bytes[place...].prefix(9), at: place)
        default: bytes.removeLast(min(bytes.count, 3))
        }
    }
    return bytes
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
