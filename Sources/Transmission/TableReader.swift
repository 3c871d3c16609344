/// Makes rows of the entries of an answer in table form, as they come.

import Notation
import Seedbox

/// First a header of names, then the values of each torrent. Rows without a proper info hash are passed over; a name that
/// is not known is too. It is made for one answer and not shared.
final class TableReader {
    private var rows: [TorrentRow] = []
    private var header: Header?
    private var isFaulty = false

    private struct Header {
        var columns: [FieldTable.Column?]
        var hash: Int
        var id: Int
        var magnet: Int?
        var priorities: Int?

        init?(_ entry: Value) {
            guard let names = entry.array?.map({ $0.string ?? "" }),
                let hash = names.firstIndex(where: { $0 == "hashString" || $0 == "hash_string" }),
                let id = names.firstIndex(of: "id")
            else { return nil }
            columns = names.map { FieldTable.bySpelling[$0] }
            self.hash = hash
            self.id = id
            magnet = names.firstIndex { $0 == "magnetLink" || $0 == "magnet_link" }
            priorities = names.firstIndex(of: "priorities")
        }
    }

    func take(_ entry: Value) {
        guard !isFaulty else { return }
        guard let header else {
            header = Header(entry)
            isFaulty = header == nil
            return
        }
        guard let cells = entry.array, cells.count == header.columns.count else {
            isFaulty = true
            return
        }
        guard let hash = cells[header.hash].string.flatMap(InfoHash.init), let id = cells[header.id].int else { return }
        var row = TorrentRow(hash: hash, id: id)
        row.fields.reserveCapacity(header.columns.count)
        for (column, cell) in zip(header.columns, cells) {
            guard let column, let value = column.read(cell) else { continue }
            row.fields[column.field] = value
        }
        row.magnetLink = header.magnet.flatMap { cells[$0].string }
        row.fileCount = header.priorities.flatMap { cells[$0].array }.map { Int64($0.count) }
        rows.append(row)
    }

    /// Without a header there are no torrents: 3.00 sends it always, an empty list is legal all the same.
    func finish() throws(TransmissionError) -> [TorrentRow] {
        guard !isFaulty else { throw RPCDialect.unintelligible }
        return rows
    }
}
