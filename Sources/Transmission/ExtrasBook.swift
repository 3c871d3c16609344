/// What Transmission 3.00 has to be asked apart: exact names and numbers of files.

import Notation
import Seedbox

/// Each torrent is asked about once, and again when its name or size has changed since.
struct ExtrasBook: Sendable {
    /// 3.00 only; later versions say both plainly.
    var isNeeded = false

    private struct Page: Sendable {
        var writtenName: String
        var total: Int64
        var name: String?
        var files: Int64?
    }

    private var pages: [InfoHash: Page] = [:]
    private var wanted: Set<InfoHash> = []

    /// The hashes to ask about next; nil when all is known.
    func next(_ count: Int) -> [InfoHash]? {
        wanted.isEmpty ? nil : Array(wanted.sorted().prefix(count))
    }

    func isWanted(_ hash: InfoHash) -> Bool { wanted.contains(hash) }

    /// Replaces a row's name and labels by the exact ones and adds the number of files, or notes that they must be asked.
    mutating func mend(_ hash: InfoHash, _ fields: inout [Field: Value]) {
        guard isNeeded else { return }
        if let labels = fields[.labels]?.array {
            fields[.labels] = .array(labels.map { $0.string.map { .string(NameRepair.label(from: $0)) } ?? $0 })
        }
        guard let written = fields[.name]?.string else { return }
        let total = fields[.total]?.int
        if let page = pages[hash], page.writtenName == written || page.name == written,
            total == nil || page.total == total
        {
            if let name = page.name { fields[.name] = .string(name) }
            if let files = page.files { fields[.files] = .int(files) }
        } else {
            pages[hash] = Page(writtenName: written, total: total ?? 0)
            wanted.insert(hash)
        }
    }

    mutating func learn(_ rows: [TorrentRow], asked: [InfoHash]) {
        wanted.subtract(asked)
        for row in rows {
            guard var page = pages[row.hash] else { continue }
            page.files = row.fileCount.flatMap { $0 > 0 ? $0 : nil }
            if NameRepair.isSuspicious(page.writtenName) {
                page.name = row.magnetLink.flatMap(NameRepair.name(inMagnet:))
            }
            pages[row.hash] = page
        }
    }

    mutating func forget(_ hash: InfoHash) {
        pages[hash] = nil
        wanted.remove(hash)
    }
}
