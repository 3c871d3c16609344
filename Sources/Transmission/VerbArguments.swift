/// Reads a verb's arguments, and says which one is wrong.

package import Notation
package import Seedbox

/// What is not asked for is a mistake: `finish` refuses names that nobody read.
package struct VerbArguments {
    /// Hashes of one command at most.
    package static let mostHashes = 10_000
    /// Bytes of any text.
    package static let longestText = 16_384

    private let map: [String: Value]
    private var read: Set<String> = ["key"]

    package init(_ value: Value) throws(Problem) {
        guard let map = value.isNull ? [:] : value.map else {
            throw Problem(.badRequest, "A verb's arguments are a map.")
        }
        self.map = map
    }

    package func finish() throws(Problem) {
        let unknown = map.keys.filter { !read.contains($0) }.sorted()
        guard unknown.isEmpty else {
            throw Problem(.badRequest, "Not known here: \(Self.shown(unknown.joined(separator: ", "))).")
        }
    }

    package func has(_ name: String) -> Bool { map[name] != nil }

    /// True where it is there and null, which takes a limit away.
    package mutating func isNull(_ name: String) -> Bool {
        read.insert(name)
        return map[name]?.isNull ?? false
    }

    package mutating func value(_ name: String) -> Value? {
        read.insert(name)
        guard let value = map[name], !value.isNull else { return nil }
        return value
    }

    /// The states of which the torrents must have one before anything is done (`only_if: {status: […]}`); nil for any.
    package mutating func condition() throws(Problem) -> Set<TorrentStatus>? {
        guard let condition = value("only_if") else { return nil }
        guard condition.map?.count == 1, let names = condition["status"]?.array, !names.isEmpty else {
            throw Problem(.badRequest, "`only_if` is of the form {status: [STATUS, …]}.")
        }
        let states = names.compactMap { $0.string.flatMap(TorrentStatus.init) }
        guard states.count == names.count else {
            let known = TorrentStatus.allCases.map(\.rawValue).joined(separator: ", ")
            throw Problem(.badRequest, "`only_if` names no status that there is. Known: \(known).")
        }
        return Set(states)
    }

    /// At least one, each once.
    package mutating func hashes() throws(Problem) -> [InfoHash] {
        guard let array = value("hashes")?.array else {
            throw Problem(.badRequest, "`hashes` must be an array of info hashes.")
        }
        guard !array.isEmpty else {
            throw Problem(.badRequest, "`hashes` is empty. Transmission would take that for all torrents; name them.")
        }
        guard array.count <= Self.mostHashes else {
            throw Problem(.tooLarge, "`hashes` has more than \(Self.mostHashes) entries.")
        }
        var hashes: [InfoHash] = []
        var seen: Set<InfoHash> = []
        for entry in array {
            guard let hash = entry.string.flatMap(InfoHash.init) else {
                throw Problem(.badRequest, "`hashes` holds something that is no info hash of 40 or 64 hex digits.")
            }
            if seen.insert(hash).inserted { hashes.append(hash) }
        }
        return hashes
    }

    package mutating func hash() throws(Problem) -> InfoHash {
        guard let hash = value("hash")?.string.flatMap(InfoHash.init) else {
            throw Problem(.badRequest, "`hash` must be an info hash of 40 or 64 hex digits.")
        }
        return hash
    }

    package mutating func bool(_ name: String) throws(Problem) -> Bool? {
        guard let value = value(name) else { return nil }
        guard let bool = value.bool else { throw Problem(.badRequest, "`\(name)` must be true or false.") }
        return bool
    }

    package mutating func int(_ name: String, _ range: ClosedRange<Int64>) throws(Problem) -> Int64? {
        guard let value = value(name) else { return nil }
        guard let number = value.int, range.contains(number) else {
            throw Problem(
                .badRequest,
                "`\(name)` must be a whole number from \(range.lowerBound) to \(range.upperBound)."
            )
        }
        return number
    }

    package mutating func double(_ name: String, _ range: ClosedRange<Double>) throws(Problem) -> Double? {
        guard let value = value(name) else { return nil }
        guard let number = value.double, range.contains(number) else {
            throw Problem(.badRequest, "`\(name)` must be a number from \(range.lowerBound) to \(range.upperBound).")
        }
        return number
    }

    package mutating func text(_ name: String) throws(Problem) -> String? {
        guard let value = value(name) else { return nil }
        guard let text = value.string, text.utf8.count <= Self.longestText, !text.utf8.contains(0) else {
            throw Problem(.badRequest, "`\(name)` must be a text of at most \(Self.longestText) bytes.")
        }
        return text
    }

    /// An absolute path without `..`.
    package mutating func path(_ name: String) throws(Problem) -> String? {
        guard let text = try text(name) else { return nil }
        guard text.hasPrefix("/"), text.utf8.count < 4096, !text.split(separator: "/").contains("..") else {
            throw Problem(.badRequest, "`\(name)` must be an absolute path without `..`.")
        }
        return text
    }

    package mutating func texts(_ name: String, mayBeEmpty: Bool) throws(Problem) -> [String]? {
        guard let value = value(name) else { return nil }
        guard let texts = value.array?.map(\.string), texts.count <= 1000,
            texts.allSatisfy({ $0.map { !$0.isEmpty && $0.utf8.count <= 2048 && !$0.utf8.contains(0) } ?? false })
        else { throw Problem(.badRequest, "`\(name)` must be an array of short texts, none of them empty.") }
        guard mayBeEmpty || !texts.isEmpty else { throw Problem(.badRequest, "`\(name)` is empty.") }
        return texts.compactMap(\.self)
    }

    /// File numbers; never an empty list, which Transmission takes for all files.
    package mutating func files(_ name: String) throws(Problem) -> [Int64]? {
        guard let value = value(name) else { return nil }
        guard let numbers = value.array?.map(\.int), numbers.allSatisfy({ $0.map { $0 >= 0 && $0 < 1 << 31 } ?? false })
        else { throw Problem(.badRequest, "`\(name)` must be an array of file numbers, counted from 0.") }
        guard !numbers.isEmpty else {
            throw Problem(.badRequest, "`\(name)` is empty. Transmission would take that for all files; name them.")
        }
        return numbers.compactMap(\.self)
    }

    private static func shown(_ text: String) -> String {
        String(text.prefix(200).map { $0.isASCII && !$0.isNewline && $0 >= " " ? $0 : "?" })
    }
}
