/// Files that a page sends in parts, as one message to the controller is bounded; kept in memory for a while, or until
/// their place is needed after a command has taken them.
import Notation
import Seedbox
import Synchronization

final class UploadDesk: Sendable {
    /// The agent takes no larger .torrent file.
    static let largest = 8 << 20
    /// Of all files together, and how many.
    static let mostKept = 32 << 20
    static let mostFiles = 64
    /// Since the last part; in milliseconds.
    static let keptFor: Int64 = 120_000

    private struct Upload {
        var who: String
        var bytes: [UInt8]
        var changedAt: Int64
        /// A command has it; another may ask again with the same key, where the answer was lost.
        var isTaken = false
    }

    private let uploads = Mutex<[String: Upload]>([:])

    /// Begins a file with its first part, or goes on with one of the same user; returns its name for the next part.
    func add(_ part: [UInt8], to id: String?, by who: String, at now: Int64) throws(Problem) -> String {
        try uploads.withLock { uploads throws(Problem) in
            Self.forget(&uploads, at: now)
            guard !part.isEmpty else { throw Problem(.badRequest, "A part of a file is not empty.") }
            if !Self.hasRoom(uploads, for: part, of: id) { uploads = uploads.filter { !$0.value.isTaken } }
            guard Self.hasRoom(uploads, for: part, of: id) else {
                throw Problem(.refused, "Too many files are on their way to the controller. Try again in two minutes.")
            }
            if let id { return try Self.append(part, to: id, by: who, at: now, &uploads) }
            let new = Self.name()
            uploads[new] = Upload(who: who, bytes: [], changedAt: now)
            return try Self.append(part, to: new, by: who, at: now, &uploads)
        }
    }

    private static func hasRoom(_ uploads: [String: Upload], for part: [UInt8], of id: String?) -> Bool {
        uploads.values.reduce(part.count) { $0 + $1.bytes.count } <= mostKept
            && (id != nil || uploads.count < mostFiles)
    }

    /// The whole file. It may be asked for again while it is kept, and takes the place of no other.
    func take(_ id: String, by who: String, at now: Int64) throws(Problem) -> [UInt8] {
        try uploads.withLock { uploads throws(Problem) in
            Self.forget(&uploads, at: now)
            guard let upload = uploads[id], upload.who == who else { throw Self.unknown }
            uploads[id]?.isTaken = true
            return upload.bytes
        }
    }

    private static func append(
        _ part: [UInt8],
        to id: String,
        by who: String,
        at now: Int64,
        _ uploads: inout [String: Upload]
    ) throws(Problem) -> String {
        guard let upload = uploads[id], upload.who == who else { throw unknown }
        guard upload.bytes.count + part.count <= largest else {
            uploads[id] = nil
            throw Problem(.tooLarge, "A .torrent file of more than \(largest >> 20) MiB is not kept.")
        }
        uploads[id]?.bytes += part
        uploads[id]?.changedAt = now
        return id
    }

    private static func forget(_ uploads: inout [String: Upload], at now: Int64) {
        for (id, upload) in uploads where now - upload.changedAt >= keptFor { uploads[id] = nil }
    }

    private static func name() -> String {
        (0..<2).map { _ in
            let half = String(UInt64.random(in: 0 ... .max), radix: 16)
            return String(repeating: "0", count: 16 - half.count) + half
        }.joined()
    }

    private static let unknown = Problem(.notFound, "There is no such file on its way; it was kept for two minutes.")
}
