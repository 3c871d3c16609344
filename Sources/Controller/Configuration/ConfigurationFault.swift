/// What is wrong with the configuration: every fault at once, each with its line and what is allowed.
import Seedbox

struct ConfigurationFault: Sendable, Hashable, CustomStringConvertible {
    /// Nil where the fault is the file's as a whole.
    var path: String?
    var line: Int?
    /// What was found, what it means, what is allowed.
    var message: String
    /// Another code than this one: a file that the configuration names is missing or readable by others, or an address
    /// is taken, and the text itself is fine.
    var code = Problem.Code.configurationInvalid

    var isOutside: Bool { code != .configurationInvalid }

    var description: String {
        switch (path, line) {
        case (let path?, let line?): "\(path):\(line): \(message)"
        case (let path?, nil): "\(path): \(message)"
        default: message
        }
    }
}

/// All faults of one configuration, in the order of their lines.
struct ConfigurationFaults: Error, Sendable, CustomStringConvertible {
    var faults: [ConfigurationFault]

    var description: String { faults.map(\.description).joined(separator: "\n") }
    /// The text's faults count before those of what it names.
    var code: Problem.Code {
        faults.contains { !$0.isOutside } ? .configurationInvalid : faults.first?.code ?? .configurationInvalid
    }
}

/// The nearest of `allowed` names to a mistyped one; nil where none is near.
func nearest(to word: String, in allowed: [String]) -> String? {
    let ranked = allowed.map { (name: $0, distance: editDistance(word, $0)) }.min { $0.distance < $1.distance }
    guard let ranked, ranked.distance <= max(2, word.count / 3) else { return nil }
    return ranked.name
}

/// Insertions, deletions and replacements that lead from one word to the other; words are cut to 64 characters.
private func editDistance(_ left: String, _ right: String) -> Int {
    let left = Array(left.lowercased().prefix(64))
    let right = Array(right.lowercased().prefix(64))
    var row = Array(0...right.count)
    for (i, a) in left.enumerated() {
        var diagonal = row[0]
        row[0] = i + 1
        for (j, b) in right.enumerated() {
            let replaced = diagonal + (a == b ? 0 : 1)
            diagonal = row[j + 1]
            row[j + 1] = min(replaced, diagonal + 1, row[j] + 1)
        }
    }
    return row[right.count]
}
