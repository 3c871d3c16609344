/// What the survey found on the seedbox; pure.
import Foundation
import Seedbox

struct FarSurvey: Sendable, Equatable {
    enum Keys: Sendable, Equatable {
        case none
        case file([UInt8])
        /// A link, or something else that is not replaced.
        case other
    }

    var home: String
    var machine: String
    var current: DeployLabel?
    var previous: DeployLabel?
    /// SHA-256 of the file that lies where this version belongs.
    var digest: String?
    var keys: Keys
    var lacks: [String]

    /// The path that `authorized_keys` names, which stays the same through all versions.
    var program: String { "\(home)/\(FarCommand.place)/current/farseed-agent" }

    /// Throws where the answer is not of the script.
    init(_ output: [UInt8]) throws(Problem) {
        let mark = Array("\(FarCommand.mark)\n".utf8)
        guard let start = output.indices.first(where: { output[$0...].starts(with: mark) }) else {
            throw Self.unexpected
        }
        var rest = output[(start + mark.count)...]
        var words: [String: String] = [:]
        var lacks: [String] = []
        while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
            let line = String(decoding: rest[..<end], as: UTF8.self)
            rest = rest[(end + 1)...]
            let space = line.firstIndex(of: " ") ?? line.endIndex
            let (word, value) = (String(line[..<space]), String(line[space...].dropFirst()))
            if word == "lacks" { lacks.append(value) } else { words[word] = value }
            if word == "keys" { break }
        }
        switch words["keys"] {
        case "none": keys = .none
        case "other": keys = .other
        case "file": keys = .file(Array(rest))
        default: throw Self.unexpected
        }
        guard let home = words["home"], let machine = words["machine"] else { throw Self.unexpected }
        self.home = home
        self.machine = machine
        self.lacks = lacks
        digest = words["sum"]
        current = try Self.label(words["current"])
        previous = try Self.label(words["previous"])
    }

    private static func label(_ text: String?) throws(Problem) -> DeployLabel? {
        guard let text else { return nil }
        guard let label = DeployLabel(text) else {
            throw Problem(
                .conflict,
                "~/\(FarCommand.place) on the seedbox points to \"\(visible(text, atMost: 60))\", which farseed has not "
                    + "put there. Move it away, then try again."
            )
        }
        return label
    }

    private static let unexpected = Problem(
        .agentUnexpected,
        "The seedbox does not answer the installation's questions as a shell does. Log in by hand and see what is wrong."
    )

    /// Refuses what cannot work before anything is copied.
    func check(for file: AgentFile?) throws(Problem) {
        if !lacks.isEmpty {
            throw Problem(
                .refused,
                "The seedbox lacks \(visible(lacks.joined(separator: ", "), atMost: 100)). Install coreutils there."
            )
        }
        guard home.hasPrefix("/"), FarCommand.isPlain(home) else {
            throw Problem(
                .refused,
                "The home \"\(visible(home, atMost: 100))\" cannot stand in authorized_keys. Use an account whose home is "
                    + "an absolute path of letters, digits and . _ - @ + / only."
            )
        }
        if let built = file.flatMap({ ELFHead($0.bytes).machine }), built != machine {
            throw Problem(
                .refused,
                "The agent's file is for \(built), and the seedbox is \(visible(machine, atMost: 40)). Build it there or "
                    + "for it, and name it with --agent."
            )
        }
        if keys == .other {
            throw Problem(
                .refused,
                "~/.ssh/authorized_keys on the seedbox is a link or no file, and is not replaced. Install by hand, as "
                    + "Docs/Operations.md says."
            )
        }
    }
}
