// A database of its own for each test, gone afterwards.

import Foundation

@testable import Store

/// A directory that lasts as long as this object.
final class ScratchLedger: Sendable {
    let directory: String
    var path: String { "\(directory)/farseed.db" }

    init() throws {
        var template = Array("\(NSTemporaryDirectory())/farseed-store-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw CocoaError(.fileWriteUnknown) }
        directory = String(cString: made)
    }

    deinit {
        try? FileManager.default.removeItem(atPath: directory)
    }

    /// Opens it with cheap passwords.
    func open(_ change: (inout LedgerConfiguration) -> Void = { _ in }) async throws -> Ledger {
        var configuration = LedgerConfiguration(path: path, passwordCost: .trivial)
        change(&configuration)
        return try await Ledger.open(configuration)
    }
}

/// A row as the outbox would write it.
func someRow(_ number: Int, padding: Int = 0) -> JobRow {
    JobRow(
        key: String(format: "%032x", number),
        box: "vps",
        verb: "torrent.start",
        targets: [0x80],
        request: [UInt8](repeating: 7, count: padding),
        who: "owner",
        origin: "127.0.0.1",
        acceptedAt: 1,
        expiresAt: 1_000,
        state: "accepted",
        outcome: [0xA0],
        changedAt: 1
    )
}
