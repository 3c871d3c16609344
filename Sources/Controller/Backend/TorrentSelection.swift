/// Which torrents a command means: by hash or its prefix, exact name, label, status, or all.
import Notation
import Seedbox

enum TorrentSelection: Sendable, Hashable {
    case all
    case label(String)
    case status(TorrentStatus)
    /// A hash, the beginning of one, or a whole name.
    case word(String)

    /// The least digits of a hash that count as a prefix.
    private static let shortestPrefix = 4
    /// Candidates named when a word is ambiguous.
    private static let mostCandidates = 10

    /// Throws a `Problem` for a status that does not exist and for an empty word.
    init(_ text: String) throws(Problem) {
        if text == "all" {
            self = .all
        } else if let label = text.after("label:") {
            guard !label.isEmpty else { throw Problem(.badRequest, "After `label:` stands the label's name.") }
            self = .label(label)
        } else if let name = text.after("status:") {
            guard let status = TorrentStatus(rawValue: name) else {
                let known = TorrentStatus.allCases.map(\.rawValue)
                let near = nearest(to: name, in: known).map { " Did you mean `\($0)`?" } ?? ""
                throw Problem(
                    .badRequest,
                    "There is no status \"\(visible(name, atMost: 40))\".\(near) Known: \(known.joined(separator: ", "))."
                )
            }
            self = .status(status)
        } else if let name = text.after("name:") {
            self = .word(name)
        } else {
            guard !text.isEmpty else {
                throw Problem(.badRequest, "An empty selection means nothing: give a hash, a name, or `all`.")
            }
            self = .word(text)
        }
    }

    /// Nil for what is to be looked up among the torrents that there are.
    var wholeHash: InfoHash? {
        guard case .word(let word) = self else { return nil }
        return InfoHash(word)
    }

    /// The torrents meant, each once, in the order of `torrents`; throws where one selection finds none or too many.
    static func torrents(_ selections: [TorrentSelection], in torrents: [Torrent]) throws(Problem) -> [Torrent] {
        var chosen: Set<InfoHash> = []
        for selection in selections { chosen.formUnion(try selection.matches(in: torrents).map(\.hash)) }
        return torrents.filter { chosen.contains($0.hash) }
    }

    /// An empty result is an answer for `all`, labels and states, a problem for a word.
    func matches(in torrents: [Torrent]) throws(Problem) -> [Torrent] {
        switch self {
        case .all: return torrents
        case .label(let label):
            return torrents.filter { $0[.labels].array?.contains { $0.string == label } == true }
        case .status(let status): return torrents.filter { $0.status == status }
        case .word(let word): return [try one(word, in: torrents)]
        }
    }

    private func one(_ word: String, in torrents: [Torrent]) throws(Problem) -> Torrent {
        // A whole hash or name is meant before the beginning of one.
        let lower = word.lowercased()
        if let torrent = torrents.first(where: { $0.hash.hex == lower }) { return torrent }
        let named = torrents.filter {
            $0[.name].string.map { $0.unicodeScalars.elementsEqual(word.unicodeScalars) } == true
        }
        let isPrefix =
            lower.utf8.count >= Self.shortestPrefix && lower.utf8.count <= 64
            && lower.utf8.allSatisfy { "0123456789abcdef".utf8.contains($0) }
        let found = named.isEmpty && isPrefix ? torrents.filter { $0.hash.hex.hasPrefix(lower) } : named
        if found.count == 1 { return found[0] }
        let shown = visible(word, atMost: 80)
        guard found.isEmpty else {
            let candidates = found.prefix(Self.mostCandidates).map {
                "\($0.hash.hex.prefix(16)) \(visible($0.name, atMost: 60))"
            }
            let more = found.count > Self.mostCandidates ? " and \(found.count - Self.mostCandidates) more" : ""
            throw Problem(
                .ambiguous,
                "\"\(shown)\" could be \(candidates.joined(separator: "; "))\(more). Give more digits of the hash."
            )
        }
        let hint =
            lower.utf8.count < Self.shortestPrefix ? " A hash is known by \(Self.shortestPrefix) digits at least." : ""
        throw Problem(
            .notFound,
            "No torrent has the hash or name \"\(shown)\".\(hint) `farseed list` shows those there are."
        )
    }
}

extension String {
    fileprivate func after(_ prefix: String) -> String? { hasPrefix(prefix) ? String(dropFirst(prefix.count)) : nil }
}
