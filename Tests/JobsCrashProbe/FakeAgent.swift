// An agent whose effects are lines in a file, and which loses answers as a bad link does.

import Glibc
import Jobs
import Notation
import Seedbox
import Synchronization

/// Each effect is one line `KEY NUMBER LANE`, which is also the memory of its key, as the real agent's journal is.
final class FakeAgent: JobExecutor {
    private struct State {
        var keys: Set<String> = []
        var dice: Dice
    }

    private let descriptor: Int32
    private let state: Mutex<State>

    init(journal path: String, seed: UInt64) {
        descriptor = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        precondition(descriptor >= 0, "The journal can be opened.")
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while case let count = read(descriptor, &chunk, chunk.count), count > 0 { bytes += chunk[..<count] }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        state = Mutex(
            State(
                keys: Set(lines.compactMap { $0.split(separator: " ").first.map(String.init) }),
                dice: Dice(seed: seed)
            )
        )
    }

    func whenLive(_ box: String) async throws {
        if roll(3) == 0 { try await Task.sleep(for: .milliseconds(2)) }
        if roll(20) == 0 { throw Problem(.linkDown, "not now") }
    }

    func execute(_ job: Job) async throws -> Value {
        if roll(10) == 0 { throw Problem(.connectionLost, "on the way there") }
        if roll(10) == 0 { throw Problem(.transmissionDown, "not up") }
        state.withLock { state in
            guard state.keys.insert(job.key).inserted else { return }
            let number = job.arguments["number"]?.int ?? -1
            let line = Array("\(job.key) \(number) \(job.targets.first?.hex.prefix(1) ?? "-")\n".utf8)
            precondition(write(descriptor, line, line.count) == line.count, "The journal can be written.")
        }
        try await Task.sleep(for: .milliseconds(roll(4)))
        if roll(6) == 0 { throw Problem(.connectionLost, "on the way back") }
        return ["ok": true]
    }

    func recipe(toUndo job: Job) async throws -> UndoRecipe? {
        roll(4) == 0 ? UndoRecipe(verb: "torrent.stop", arguments: .null, targets: job.targets) : nil
    }

    private func roll(_ sides: Int) -> Int {
        state.withLock { $0.dice.roll(sides) }
    }
}

/// SplitMix64: the same throws for the same seed.
struct Dice: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    mutating func roll(_ sides: Int) -> Int {
        Int.random(in: 0..<sides, using: &self)
    }
}
