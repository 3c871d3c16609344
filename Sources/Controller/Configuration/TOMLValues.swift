/// Takes a TOML document as the value that everything else in Farseed reads.
import Notation
import TOMLKit

extension TOMLTable {
    /// The table as a value; dates, for which the configuration has no use, become null.
    func entries() -> [String: Notation.Value] {
        var entries: [String: Notation.Value] = [:]
        for (key, value) in self { entries[key] = Notation.Value(value) }
        return entries
    }
}

extension Value {
    fileprivate init(_ toml: any TOMLValueConvertible) {
        switch toml.type {
        case .table: self = .map(toml.table?.entries() ?? [:])
        case .array: self = .array(toml.array?.map { Self($0) } ?? [])
        case .string: self = .string(toml.string ?? "")
        case .int: self = .int(Int64(toml.int ?? 0))
        case .double: self = .double(toml.double ?? 0)
        case .bool: self = .bool(toml.bool ?? false)
        case .date, .time, .dateTime: self = .null
        }
    }
}
