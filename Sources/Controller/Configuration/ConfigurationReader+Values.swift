/// How `ConfigurationReader` takes values of one kind each from a section, with a fault for whatever does not fit.
import Glibc
import Notation
import Seedbox

/// A table of the document and where it stands.
struct Section {
    var path: [String]
    var values: [String: Value]
}

extension ConfigurationReader {
    mutating func fault(_ path: [String], _ message: String) {
        let place = path.isEmpty ? "" : "[\(path.map { visible($0) }.joined(separator: "."))] "
        faults.append(
            ConfigurationFault(path: self.path, line: lines[path], message: place + message)
        )
    }

    mutating func fault(
        _ section: Section,
        _ key: String,
        _ message: String,
        code: Problem.Code = .configurationInvalid
    ) {
        let place = section.path.isEmpty ? "" : "[\(section.path.map { visible($0) }.joined(separator: "."))] "
        faults.append(
            ConfigurationFault(
                path: path,
                line: lines[section.path + [key]],
                message: "\(place)`\(key)`: \(message)",
                code: code
            )
        )
    }

    /// Names every key that the section should not have.
    mutating func know(_ section: Section, _ allowed: [String]) {
        for key in section.values.keys.sorted() where !allowed.contains(key) {
            let kind = if case .map = section.values[key] { "section" } else { "key" }
            let near = nearest(to: key, in: allowed).map { " Did you mean `\($0)`?" } ?? ""
            fault(
                section,
                visible(key),
                "unknown \(kind).\(near) Known here: \(allowed.map { "`\($0)`" }.joined(separator: ", "))."
            )
        }
    }

    mutating func section(_ parent: Section, _ key: String) -> Section? {
        guard let value = parent.values[key] else { return nil }
        guard let values = value.map else {
            fault(parent, key, "this is a section: write `[\((parent.path + [key]).joined(separator: "."))]`.")
            return nil
        }
        return Section(path: parent.path + [key], values: values)
    }

    mutating func text(_ section: Section, _ key: String, needed: String? = nil) -> String? {
        guard let value = section.values[key] else {
            if let needed { fault(section.path, "`\(key)` is missing: \(needed)") }
            return nil
        }
        guard let text = value.string, !text.isEmpty else {
            fault(section, key, "this takes text in quotes, not \(Self.kind(value)).")
            return nil
        }
        guard !text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) else {
            fault(section, key, "\"\(visible(text))\" contains control characters.")
            return nil
        }
        return text
    }

    /// One text or an array of texts.
    mutating func texts(_ section: Section, _ key: String) -> [String]? {
        guard let value = section.values[key] else { return nil }
        if let text = value.string { return [text] }
        guard let array = value.array, array.allSatisfy({ $0.string != nil }) else {
            fault(section, key, "this takes an array of texts, as [\"one\", \"two\"], not \(Self.kind(value)).")
            return nil
        }
        return array.compactMap(\.string)
    }

    mutating func integer(_ section: Section, _ key: String, _ range: ClosedRange<Int64>) -> Int64? {
        guard let value = section.values[key] else { return nil }
        guard case .int(let number) = value, range.contains(number) else {
            fault(section, key, "this takes a whole number from \(range.lowerBound) to \(range.upperBound).")
            return nil
        }
        return number
    }

    mutating func seconds(_ section: Section, _ key: String, _ range: ClosedRange<Double>) -> Duration? {
        guard let value = section.values[key] else { return nil }
        guard let number = value.double, range.contains(number) else {
            let low = range.lowerBound
            let least = low == low.rounded() ? "\(Int(low))" : "\(low)"
            let most = Int(range.upperBound)
            fault(section, key, "this takes seconds as a number from \(least) to \(most), as 15 or 2.5.")
            return nil
        }
        return .milliseconds(Int64(number * 1000))
    }

    mutating func flag(_ section: Section, _ key: String) -> Bool? {
        guard let value = section.values[key] else { return nil }
        guard let flag = value.bool else {
            fault(section, key, "this takes true or false, not \(Self.kind(value)).")
            return nil
        }
        return flag
    }

    mutating func address(_ section: Section, _ key: String, example: String) -> SocketAddressText? {
        guard let text = text(section, key) else { return nil }
        guard let address = SocketAddressText(text) else {
            fault(section, key, "\"\(visible(text))\" is no address: write \"\(example)\" or \"unix:/path\".")
            return nil
        }
        return address
    }

    /// A path made absolute: `~/` is the home directory, a relative one begins at the configuration's directory.
    mutating func file(_ section: Section, _ key: String, needed: String? = nil) -> String? {
        guard let text = text(section, key, needed: needed) else { return nil }
        if text.hasPrefix("/") { return text }
        if text == "~" || text.hasPrefix("~/") {
            guard let home = surroundings.home else {
                fault(section, key, "`~` has no meaning without $HOME: give an absolute path.")
                return nil
            }
            return home + text.dropFirst()
        }
        guard let path, path.hasPrefix("/"), let slash = path.lastIndex(of: "/") else { return text }
        return String(path[...slash]) + text
    }

    /// A file that must be there.
    mutating func existing(_ section: Section, _ key: String) -> String? {
        guard let path = file(section, key) else { return nil }
        if case .missing(let reason) = surroundings.look(path) {
            fault(section, key, Self.unreadable(path, reason), code: .secretUnreadable)
        }
        return path
    }

    private static func unreadable(_ path: String, _ reason: String) -> String {
        "\(visible(path)) cannot be read: \(reason). Correct this line's path, or put the file there and give it to the "
            + "user that runs farseed; `ls -l \(visible(path))` tells whose it is."
    }

    func isReadable(_ path: String) -> Bool {
        if case .file = surroundings.look(path) { true } else { false }
    }

    /// A tor that must be there and run.
    mutating func program(_ section: Section, _ key: String) -> String? {
        guard let path = file(section, key) else { return nil }
        let reason: String? =
            switch surroundings.look(path) {
            case .missing(let reason): reason
            case .file(let mode): mode & 0o111 == 0 ? "it is not executable" : nil
            }
        if let reason {
            fault(
                section,
                key,
                "\(visible(path)) is no tor that can be run: \(reason). Install tor and correct the path, or leave the "
                    + "line out to take the `tor` of $PATH.",
                code: .torMissing
            )
        }
        return path
    }

    /// A secret that is known to two sides, and long enough.
    mutating func sharedSecret(_ section: Section, _ key: String) -> String? {
        secret(section, key, sound: surroundings.readiness?.secret)
    }

    /// A file that must be there and that nobody but its owner may read; `sound` says what is wrong with what it holds.
    mutating func secret(
        _ section: Section,
        _ key: String,
        needed: String? = nil,
        sound: ((String) -> Problem?)? = nil
    ) -> String? {
        guard let path = file(section, key, needed: needed) else { return nil }
        switch surroundings.look(path) {
        case .missing(let reason):
            fault(section, key, Self.unreadable(path, reason), code: .secretUnreadable)
        case .file(let mode) where mode & 0o077 != 0:
            fault(
                section,
                key,
                "\(visible(path)) is a secret that others may read (mode \(String(mode & 0o777, radix: 8))). "
                    + "Run `chmod 600 \(visible(path))`.",
                code: .secretUnreadable
            )
        case .file:
            if let problem = sound?(path) { fault(section, key, problem.message, code: problem.code) }
        }
        return path
    }

    private static func kind(_ value: Value) -> String {
        switch value {
        case .null: "a date"
        case .bool: "true or false"
        case .int, .double: "a number"
        case .string(let text): text.isEmpty ? "an empty one" : "text"
        case .bytes: "bytes"
        case .array: "an array"
        case .map: "a section"
        }
    }
}
