/// Takes known options out of a dictionary; unknown ones are passed over, wrong types are violations.
import Notation

struct OptionReader {
    let options: [String: Value]
    /// The message they belong to, for the sentence.
    let owner: String

    func flag(_ name: String) throws(Violation) -> Bool? {
        guard let value = options[name] else { return nil }
        guard let flag = value.bool else { throw wrong(name, "true or false") }
        return flag
    }

    func text(_ name: String) throws(Violation) -> String? {
        guard let value = options[name] else { return nil }
        guard let text = value.string else { throw wrong(name, "a string") }
        return text
    }

    func map(_ name: String) throws(Violation) -> [String: Value]? {
        guard let value = options[name] else { return nil }
        guard let map = value.map else { throw wrong(name, "a dictionary") }
        return map
    }

    func texts(_ name: String) throws(Violation) -> [String]? {
        try list(name, "a list of strings") { $0.string }
    }

    func ids(_ name: String) throws(Violation) -> [Int64]? {
        try list(name, "a list of whole numbers") { $0.int }
    }

    /// A whole number that is not negative.
    func count(_ name: String) throws(Violation) -> Int64? {
        guard let value = options[name] else { return nil }
        guard let count = value.int, count >= 0, WAMPIdentifier.range.upperBound >= count else {
            throw wrong(name, "a whole number")
        }
        return count
    }

    /// One of the words of an enumeration.
    func word<Word: RawRepresentable<String> & CaseIterable>(_ name: String, _: Word.Type) throws(Violation) -> Word? {
        guard let text = try text(name) else { return nil }
        guard let word = Word(rawValue: text) else {
            throw wrong(name, "one of " + Word.allCases.map { "'\($0.rawValue)'" }.joined(separator: ", "))
        }
        return word
    }

    private func list<Item>(
        _ name: String,
        _ expected: String,
        _ item: (Value) -> Item?
    ) throws(Violation) -> [Item]? {
        guard let value = options[name] else { return nil }
        guard let values = value.array else { throw wrong(name, expected) }
        var items: [Item] = []
        items.reserveCapacity(values.count)
        for value in values {
            guard let item = item(value) else { throw wrong(name, expected) }
            items.append(item)
        }
        return items
    }

    private func wrong(_ name: String, _ expected: String) -> Violation {
        Violation("The option \(name) of \(owner) must be \(expected).")
    }
}
