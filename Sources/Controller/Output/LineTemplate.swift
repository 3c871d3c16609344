/// The template of `--format`: text with fields in braces, such as `{hash} {name}`.
import Notation
import Seedbox

struct LineTemplate: Sendable, Equatable {
    private enum Part: Sendable, Equatable {
        case text(String)
        case hash
        case field(Field, human: Bool)
    }

    private var parts: [Part] = []

    /// Why a template cannot be used, for a person.
    struct Fault: Error, CustomStringConvertible {
        var description: String
    }

    /// Takes `{field}`, `{field:h}` for people, `{{`, `}}`, `\t`, `\n` and `\\`.
    init(_ text: String) throws(Fault) {
        var literal = ""
        var rest = Substring(text)
        while let character = rest.popFirst() {
            switch character {
            case "\\":
                switch rest.popFirst() {
                case "t": literal.append("\t")
                case "n": literal.append("\n")
                case "\\": literal.append("\\")
                default: throw Fault(description: "After `\\` in a format stands `t`, `n` or `\\`.")
                }
            case "{" where rest.first == "{", "}" where rest.first == "}":
                literal.append(character)
                rest.removeFirst()
            case "{":
                guard let end = rest.firstIndex(of: "}") else {
                    throw Fault(description: "A `{` in the format is not closed. Write `{{` for the sign itself.")
                }
                if !literal.isEmpty { parts.append(.text(literal)) }
                literal = ""
                parts.append(try Self.part(rest[..<end]))
                rest = rest[rest.index(after: end)...]
            case "}":
                throw Fault(description: "A `}` in the format has no `{`. Write `}}` for the sign itself.")
            default: literal.append(character)
            }
        }
        if !literal.isEmpty { parts.append(.text(literal)) }
    }

    private static func part(_ text: Substring) throws(Fault) -> Part {
        let human = text.hasSuffix(":h")
        let name = human ? text.dropLast(2) : text
        if name == "hash" { return .hash }
        if let field = Field(name: name) { return .field(field, human: human) }
        let known = ["hash"] + Field.allCases.map(\.name)
        let near = nearest(to: String(name), in: known).map { " Did you mean `{\($0)}`?" } ?? ""
        throw Fault(
            description: "There is no field `{\(visible(String(name), atMost: 40))}`.\(near) "
                + "Known: \(known.joined(separator: ", "))."
        )
    }

    /// One torrent's line; values are made safe to show, so that none forges a line or a field.
    func line(_ torrent: Torrent) -> String {
        parts.map { part in
            switch part {
            case .text(let text): text
            case .hash: torrent.hash.hex
            case .field(let field, let human): Self.text(torrent, field, human: human)
            }
        }.joined()
    }

    static func text(_ torrent: Torrent, _ field: Field, human: Bool) -> String {
        if human, let text = forPeople(torrent, field) { return text }
        return plain(torrent[field])
    }

    private static func plain(_ value: Value) -> String {
        switch value {
        case .null: ""
        case .bool(let flag): flag ? "true" : "false"
        case .int(let number): String(number)
        case .double(let number): "\(number)"
        case .string(let text): visible(text)
        case .array(let values): values.map(plain).joined(separator: ",")
        case .bytes, .map: MachineText.json(value)
        }
    }

    private static func forPeople(_ torrent: Torrent, _ field: Field) -> String? {
        let value = torrent[field]
        switch field {
        case .size, .left, .downloaded, .uploaded, .total: return value.int.map(Amounts.bytes)
        case .down, .up, .downLimit, .upLimit: return value.int.map(Amounts.rate)
        case .eta: return value.int.map(Amounts.eta)
        case .ratio, .ratioLimit: return value.double.map(Amounts.ratio)
        case .progress, .checked, .metadata: return value.double.map(Amounts.percent)
        case .added, .done, .active: return value.int.map { Amounts.time($0) }
        default: return nil
        }
    }
}
