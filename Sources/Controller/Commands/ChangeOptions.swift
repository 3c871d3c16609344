/// The options of every command that changes something, and how its outcome is told.
import ArgumentParser
import Foundation
import Notation
import Seedbox

struct ChangeOptions: ParsableArguments {
    @OptionGroup var output: FormatOptions<ChangeRecord>

    @OptionGroup var waiting: WaitingOptions

    @Option(name: .long, help: "Seconds after which the command is no longer wanted if it could not be begun.")
    var expiry: Double?

    @Option(
        name: .long,
        help: "Only if the torrents still have this status when the command arrives; may be given several times.",
        completion: .list(TorrentStatus.allCases.map(\.rawValue))
    )
    var onlyIf: [TorrentStatus] = []

    @Option(name: .long, help: "32 hex digits; the same command with the same key is carried out once.")
    var key: String?

    func validate() throws {
        if let expiry, !(expiry >= 1 && expiry <= 31_536_000) {
            throw ValidationError("--expiry takes seconds, from 1 to 31536000.")
        }
        if let key, key.count != 32 || !key.allSatisfy({ "0123456789abcdef".contains($0) }) {
            throw ValidationError("--key takes 32 lower-case hex digits.")
        }
    }

    /// What is left of it for one step of a command that began at `began`.
    func patience(since began: ContinuousClock.Instant) -> Patience {
        var patience = waiting.patience(since: began)
        patience.expiry = expiry.map { .milliseconds(Int64($0 * 1000)) }
        patience.key = key
        return patience
    }

    /// The agent answers with a row for each torrent, and an answer must fit one frame of the wire.
    private static let mostAtOnce = 150

    /// Carries one change out on torrents that are there, waits where asked, and tells what became of it.
    ///
    /// Many torrents are told in several steps.
    func carryOut(_ change: Change, on torrents: [Torrent], told: String, _ backend: Backend) async throws {
        var change = change
        change.onlyIf = onlyIf
        let began = ContinuousClock.now
        guard torrents.count > Self.mostAtOnce, change.arguments["hashes"] != nil else {
            return try await carryOut(change, torrents, told, since: began, backend)
        }
        guard key == nil else {
            throw Problem(
                .tooLarge,
                "--key goes with \(Self.mostAtOnce) torrents at most, because more take several steps."
            )
        }
        for start in stride(from: 0, to: torrents.count, by: Self.mostAtOnce) {
            let some = Array(torrents[start..<min(torrents.count, start + Self.mostAtOnce)])
            var step = change
            step.arguments["hashes"] = some.hashes
            step.targets = some.map(\.hash)
            try await carryOut(step, some, told, since: began, backend)
        }
    }

    private func carryOut(
        _ change: Change,
        _ torrents: [Torrent],
        _ told: String,
        since began: ContinuousClock.Instant,
        _ backend: Backend
    ) async throws {
        let outcome = try await backend.change(change, patience(since: began))
        let changed = torrents.map(backend.named).map { Changed(hash: $0.hash, name: $0.name, told: told) }
        try await finish(outcome, changed, since: began, backend)
    }

    /// Waits for `--wait` and prints.
    func finish(
        _ outcome: ChangeOutcome,
        _ changed: [Changed],
        since began: ContinuousClock.Instant,
        _ backend: Backend
    ) async throws {
        let hashes = changed.compactMap(\.hash)
        try await waiting.follow(outcome, hashes, since: began, backend)
        // `add` tells of each source: in YAML these are documents of their own.
        if output.notation == .yaml { OutputFile.standard.print("---") }
        let isTold = try output.print(
            Self.value(outcome, hashes),
            records: changed.isEmpty ? [outcome.record] : changed.map { $0.record(outcome) }
        )
        guard output.notation == nil else { return }
        switch outcome {
        case .done: if !isTold { OutputFile.standard.print(changed.map(\.line)) }
        case .pending(_, let told) where isTold: OutputFile.error.print("farseed: \(told)")
        case .pending(_, let told): OutputFile.standard.print(told)
        }
        if let doubt = Self.doubt(outcome) { OutputFile.error.print("farseed: \(doubt)") }
    }

    /// One torrent of a change, for who is told of it.
    struct Changed: Sendable {
        var hash: InfoHash?
        var name: String
        /// What became of it, in a word.
        var told: String
        var isDuplicate = false

        var line: String { "\(told) \(hash?.hex.prefix(8) ?? "") \(visible(name, atMost: 300))" }

        func record(_ outcome: ChangeOutcome) -> Value {
            let own: [String: Value] = [
                "hash": hash.map { .string($0.hex) } ?? .null, "name": .string(name), "duplicate": .bool(isDuplicate),
            ]
            return .map((outcome.record.map ?? [:]).merging(own) { $1 })
        }
    }

    /// What a person has to know of a change that Transmission took without a sign that it did something.
    static func doubt(_ outcome: ChangeOutcome) -> String? {
        guard case .done(let result, _) = outcome, result["confirmed"] == false else { return nil }
        return "Transmission took the command; whether it did something could not be seen for every torrent."
    }

    static func value(_ outcome: ChangeOutcome, _ hashes: [InfoHash]) -> Value {
        var map: [String: Value] = [
            "hashes": .array(hashes.map { .string($0.hex) }), "state": outcome.state, "job": outcome.job,
        ]
        if case .done(let result, _) = outcome { map["result"] = result }
        return .map(map)
    }
}

extension ChangeOutcome {
    fileprivate var state: Value {
        switch self {
        case .done: "done"
        case .pending: "pending"
        }
    }

    /// Of a change without torrents that are known.
    fileprivate var record: Value { ["state": state, "duplicate": false, "job": job["id"] ?? .null] }
}

/// The torrents that a command acts on; none is a mistake, not all.
struct SelectionArguments: ParsableArguments {
    @Argument(
        help: "Which torrents: a hash or its first digits, a whole name, label:NAME, status:STATUS, or all.",
        completion: .custom { _, _, _ in TorrentStatus.allCases.map { "status:" + $0.rawValue } + ["all"] }
    )
    var selection: [String]

    var selections: [TorrentSelection] {
        get throws { try selection.map { text throws(Problem) in try TorrentSelection(text) } }
    }
}
