/// How a value is written in a line of `--format`: raw for programs, and for people where `:h` asks for that.
import Notation

enum Reading: Sendable, Equatable {
    case plain, bytes, rate, eta, ratio, percent
    /// A time in Unix seconds, and one in milliseconds.
    case seconds, milliseconds
    /// One of Transmission's own figures, by its name.
    case figure(String)

    /// For people; a value that is none of the kind is written as it is.
    func text(_ value: Value) -> String {
        let text: String? =
            switch self {
            case .plain: nil
            case .bytes: value.int.map(Amounts.bytes)
            case .rate: value.int.map(Amounts.rate)
            case .eta: value.int.map(Amounts.eta)
            case .ratio: value.double.map(Amounts.ratio)
            case .percent: value.double.map(Amounts.percent)
            case .seconds: value.int.map { Amounts.time($0) }
            case .milliseconds: value.int.map { Amounts.time($0 / 1000) }
            case .figure(let name): DetailText.figure(value, name)
            }
        return text ?? Self.raw(value)
    }

    /// For programs: no value forges a line or a field.
    static func raw(_ value: Value) -> String {
        switch value {
        case .null: ""
        case .bool(let flag): flag ? "true" : "false"
        case .int(let number): String(number)
        case .double(let number): "\(number)"
        case .string(let text): visible(text)
        case .array(let values): values.map(raw).joined(separator: ",")
        case .bytes, .map: MachineText.json(value)
        }
    }
}
