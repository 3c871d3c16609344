/// The template of `--format`: text with fields in braces, such as `{hash} {name}`.
import Notation
import Seedbox

struct LineTemplate: Sendable, Equatable {
    private enum Part: Sendable, Equatable {
        case text(String)
        /// A field by its path; with a reading, for people.
        case field([String], Reading?)
    }

    private var parts: [Part] = []
    /// Whether the fields are those of the record, whatever they are.
    private let isOpen: Bool

    /// Why a template cannot be used, for a person.
    struct Fault: Error, CustomStringConvertible {
        var description: String
    }

    /// Takes `{field}`, `{field:h}` for people, `{{`, `}}`, `\t`, `\n` and `\\`.
    init(_ text: String, of kind: any RecordKind.Type) throws(Fault) {
        isOpen = kind.fields.isEmpty
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
                parts.append(try Self.part(rest[..<end], kind))
                rest = rest[rest.index(after: end)...]
            case "}":
                throw Fault(description: "A `}` in the format has no `{`. Write `}}` for the sign itself.")
            default: literal.append(character)
            }
        }
        if !literal.isEmpty { parts.append(.text(literal)) }
    }

    private static func part(_ text: Substring, _ kind: any RecordKind.Type) throws(Fault) -> Part {
        let isForPeople = text.hasSuffix(":h")
        let name = String(isForPeople ? text.dropLast(2) : text)
        let known = kind.fields.first { $0.key == name }?.value
        let reading = kind.fields.isEmpty ? .figure(name) : known
        guard let reading else {
            throw Fault(description: unknown(name, among: kind.fields.map(\.key)))
        }
        return .field(name.split(separator: ".").map(String.init), isForPeople ? reading : nil)
    }

    private static func unknown(_ name: String, among known: [String]) -> String {
        let near = nearest(to: name, in: known).map { " Did you mean `{\($0)}`?" } ?? ""
        return "There is no field `{\(visible(name, atMost: 40))}`.\(near) Known: \(known.joined(separator: ", "))."
    }

    /// One record's line; values are made safe to show, so that none forges a line or a field. Throws where the record was
    /// to say which fields there are, and says that there is none of the name.
    func line(_ record: Value) throws(Problem) -> String {
        var line = ""
        for part in parts {
            switch part {
            case .text(let text): line += text
            case .field(let path, let reading):
                let value = path.reduce(record as Value?) { $0?[$1] }
                if isOpen, value == nil {
                    let known = (record.map ?? [:]).keys.sorted()
                    throw Problem(.badRequest, Self.unknown(path.joined(separator: "."), among: known))
                }
                line += reading?.text(value ?? .null) ?? Reading.raw(value ?? .null)
            }
        }
        return line
    }
}
