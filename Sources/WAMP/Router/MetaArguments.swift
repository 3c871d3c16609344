/// The arguments of a meta procedure; wrong ones refuse the call.
import Notation

struct MetaArguments {
    let payload: Payload
    /// The procedure, for the sentence.
    let owner: String

    func id(_ place: Int, _ name: String) throws(Refusal) -> Int64 {
        guard payload.args.indices.contains(place), let id = payload.args[place].int else {
            throw wrong(name, "a whole number")
        }
        return id
    }

    func text(_ place: Int, _ name: String) throws(Refusal) -> String {
        guard payload.args.indices.contains(place), let text = payload.args[place].string else {
            throw wrong(name, "a string")
        }
        return text
    }

    func optional(_ place: Int) -> Value? {
        guard payload.args.indices.contains(place), !payload.args[place].isNull else { return nil }
        return payload.args[place]
    }

    func texts(_ place: Int, _ name: String) throws(Refusal) -> [String]? {
        guard let value = optional(place) else { return nil }
        let texts = value.array?.compactMap(\.string)
        guard let texts, texts.count == value.array?.count else { throw wrong(name, "a list of strings") }
        return texts
    }

    func keyword(_ name: String) -> Value? {
        guard let value = payload.kwargs[name], !value.isNull else { return nil }
        return value
    }

    func keywordText(_ name: String) throws(Refusal) -> String? {
        guard let value = keyword(name) else { return nil }
        guard let text = value.string else { throw wrong(name, "a string") }
        return text
    }

    func keywordID(_ name: String) throws(Refusal) -> Int64? {
        guard let value = keyword(name) else { return nil }
        guard let id = value.int, id > 0 else { throw wrong(name, "a positive whole number") }
        return id
    }

    func keywordFlag(_ name: String) throws(Refusal) -> Bool {
        guard let value = keyword(name) else { return false }
        guard let flag = value.bool else { throw wrong(name, "true or false") }
        return flag
    }

    func keywordMoment(_ name: String) throws(Refusal) -> Moment? {
        guard let text = try keywordText(name) else { return nil }
        guard let moment = Moment(text) else { throw wrong(name, "a time as RFC 3339 writes it") }
        return moment
    }

    /// The match of an `options` dictionary, as when subscribing or registering.
    func match(_ place: Int) throws(Refusal) -> Match {
        guard let options = optional(place) else { return .exact }
        guard let options = options.map else { throw wrong("options", "a dictionary") }
        do throws(Violation) {
            return try OptionReader(options: options, owner: owner).word("match", Match.self) ?? .exact
        } catch {
            throw Refusal(WAMPReason.invalidArgument, error.message)
        }
    }

    func wrong(_ name: String, _ expected: String) -> Refusal {
        Refusal(WAMPReason.invalidArgument, "The argument \(name) of \(owner) must be \(expected).")
    }
}
