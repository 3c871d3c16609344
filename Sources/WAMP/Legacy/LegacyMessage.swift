/// The messages that a client of WAMP v1 sends, and the values that it gets.
import Notation

enum LegacyMessage {
    case prefix(String, uri: String)
    case call(id: String, procedure: String, args: [Value])
    case subscribe(topic: String)
    case unsubscribe(topic: String)
    case publish(topic: String, event: Value, options: LegacyPublishOptions)

    /// Bytes of a topic, a URI or an identifier: they are kept, and topics go out with each event.
    private static let longestText = 4_096

    init(_ bytes: UnsafeRawBufferPointer) throws(Violation) {
        let value: Value
        do throws(NotationError) {
            value = try JSON.decode(bytes, limits: Serializer.limits)
        } catch {
            throw Violation("The message cannot be decoded: \(error).")
        }
        guard let items = value.array, let kind = items.first?.int else {
            throw Violation("A message is a list that begins with a number.")
        }
        func text(_ place: Int) throws(Violation) -> String {
            guard items.indices.contains(place), let text = items[place].string, text.utf8.count <= Self.longestText
            else {
                throw Violation(
                    "Element \(place) of this message must be a string of at most \(Self.longestText) bytes."
                )
            }
            return text
        }
        switch kind {
        case 1: self = .prefix(try text(1), uri: try text(2))
        case 2: self = .call(id: try text(1), procedure: try text(2), args: Array(items.dropFirst(3)))
        case 5: self = .subscribe(topic: try text(1))
        case 6: self = .unsubscribe(topic: try text(1))
        case 7:
            guard items.count >= 3 else { throw Violation("PUBLISH lacks its event.") }
            let options = try LegacyPublishOptions(items)
            self = .publish(topic: try text(1), event: items[2], options: options)
        default: throw Violation("A client of WAMP v1 sends no message of this type.")
        }
    }

    /// A v2 payload as the one value that v1 carries.
    static func event(_ payload: Payload) -> Value {
        switch (payload.args.count, payload.kwargs.isEmpty) {
        case (0, true): nil
        case (1, true): payload.args[0]
        case (_, true): .array(payload.args)
        case (0, false): .map(payload.kwargs)
        default: ["args": .array(payload.args), "kwargs": .map(payload.kwargs)]
        }
    }

    /// CALLERROR.
    static func failure(_ id: String, _ uri: String, _ sentence: String) -> Value {
        [4, .string(id), .string(uri), .string(sentence)]
    }
}

/// Whom a v1 PUBLISH leaves out or names; sessions stand there as the strings of their WELCOME.
struct LegacyPublishOptions {
    private var excludesMe = false
    private var exclude: [Int64] = []
    private var eligible: [Int64]?

    init(_ items: [Value]) throws(Violation) {
        if items.count > 3 {
            if let flag = items[3].bool {
                excludesMe = flag
            } else {
                exclude = try Self.sessions(items[3])
            }
        }
        if items.count > 4 { eligible = try Self.sessions(items[4]) }
    }

    /// As the options of v2, where a publisher gets its own event only if it asks for that.
    func merging(excludedMe me: Int64) -> [String: Value] {
        var options: [String: Value] = ["exclude_me": .bool(excludesMe || exclude.contains(me))]
        if !exclude.isEmpty { options["exclude"] = .array(exclude.map(Value.int)) }
        if let eligible { options["eligible"] = .array(eligible.map(Value.int)) }
        return options
    }

    /// A name that is no session's of ours excludes or admits nobody.
    private static func sessions(_ value: Value) throws(Violation) -> [Int64] {
        guard let names = value.array else { throw Violation("PUBLISH lists sessions as a list.") }
        return names.compactMap { $0.string.flatMap { Int64($0) } }
    }
}

/// A topic's string that holds JSON with who subscribes and the token that proves it.
struct LegacyTicket {
    let topic: String
    let user: String
    let token: String

    /// The deepest nesting in such a string; it is flat.
    private static let limits = NotationLimits(depth: 4, elements: 64)

    init?(_ text: String) {
        guard text.utf8.first == UInt8(ascii: "{"), let value = try? JSON.decode(text, limits: Self.limits),
            let topic = value["topic"]?.string, let user = value["user"]?.string, let token = value["token"]?.string
        else { return nil }
        self.topic = topic
        self.user = user
        self.token = token
    }
}
