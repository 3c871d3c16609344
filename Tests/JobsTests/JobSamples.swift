// Jobs, a database and a clock for the tests of the outbox.

import Foundation
import Jobs
import Logging
import Notation
import Seedbox
import Store

/// A directory of its own, gone afterwards.
final class ScratchState: Sendable {
    let directory: String

    init() throws {
        var template = Array("\(NSTemporaryDirectory())/farseed-jobs-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw CocoaError(.fileWriteUnknown) }
        directory = String(cString: made)
    }

    deinit {
        try? FileManager.default.removeItem(atPath: directory)
    }

    func open() async throws -> Ledger {
        try await Ledger.open(LedgerConfiguration(path: "\(directory)/farseed.db", passwordCost: .trivial))
    }
}

/// The hash of forty times one digit.
func hash(_ digit: Int) -> InfoHash {
    guard let hash = InfoHash(String(repeating: String(digit % 16, radix: 16), count: 40)) else {
        preconditionFailure("Forty digits are a hash.")
    }
    return hash
}

func someJob(
    _ id: Int64,
    box: String = "vps",
    targets: [InfoHash] = [],
    expiresAt: Int64 = 1_000_000,
    state: JobState = .accepted
) -> Job {
    var job = Job(
        id: id,
        key: String(format: "%032x", id),
        box: box,
        verb: "torrent.start",
        targets: targets,
        who: "owner",
        origin: "::1",
        acceptedAt: 0,
        expiresAt: expiresAt
    )
    job.state = state
    return job
}

func someRequest(_ number: Int = 0, targets: [InfoHash] = [], verb: String = "torrent.start") -> JobRequest {
    JobRequest(
        box: "vps",
        verb: verb,
        arguments: ["number": .int(Int64(number))],
        targets: targets,
        who: "owner",
        origin: "::1"
    )
}

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// SplitMix64: the same throws for the same seed.
struct SeededDice: RandomNumberGenerator {
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
