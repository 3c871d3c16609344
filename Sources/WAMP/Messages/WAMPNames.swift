/// The names that the WAMP specification and Farseed's router give to reasons and errors.

/// Reasons of ERROR, ABORT and GOODBYE.
package enum WAMPReason {
    package static let invalidURI = "wamp.error.invalid_uri"
    package static let noSuchProcedure = "wamp.error.no_such_procedure"
    package static let procedureExists = "wamp.error.procedure_already_exists"
    package static let noSuchRegistration = "wamp.error.no_such_registration"
    package static let noSuchSubscription = "wamp.error.no_such_subscription"
    package static let noSuchSession = "wamp.error.no_such_session"
    package static let invalidArgument = "wamp.error.invalid_argument"
    package static let canceled = "wamp.error.canceled"
    package static let timeout = "wamp.error.timeout"
    package static let protocolViolation = "wamp.error.protocol_violation"
    package static let notAuthorized = "wamp.error.not_authorized"
    package static let noSuchRealm = "wamp.error.no_such_realm"
    package static let noMatchingMethod = "wamp.error.no_matching_auth_method"
    package static let authenticationDenied = "wamp.error.authentication_denied"
    package static let authenticationFailed = "wamp.error.authentication_failed"
    package static let discloseDisallowed = "wamp.error.option_disallowed.disclose_me"
    package static let shutdown = "wamp.close.system_shutdown"
    package static let goodbyeAndOut = "wamp.close.goodbye_and_out"
    package static let killed = "wamp.close.killed"
    /// A session asks for more than its share; ours, since the specification has none.
    package static let overLimit = "farseed.error.over_limit"
}

/// Why a peer's message breaks the protocol; the session ends with ABORT `wamp.error.protocol_violation`.
package struct Violation: Error, Hashable, CustomStringConvertible {
    /// A sentence for the author of the other side.
    package var message: String

    package init(_ message: String) { self.message = message }

    package var description: String { message }
}

/// Identifies a session, also before its WELCOME; drawn at random.
package struct SessionID: Sendable, Hashable {
    package let value: Int64

    package init(_ value: Int64) { self.value = value }
}

/// WAMP's identifiers: whole numbers that a double holds.
package enum WAMPIdentifier {
    package static let range: ClosedRange<Int64> = 1...(1 << 53)
}

/// A time that the shell passes in, in milliseconds since 1970, UTC.
package struct Moment: Sendable, Hashable, Comparable {
    package var milliseconds: Int64

    package init(milliseconds: Int64) { self.milliseconds = milliseconds }

    package static func < (left: Moment, right: Moment) -> Bool { left.milliseconds < right.milliseconds }
}

extension Moment {
    private static let dayLength: Int64 = 86_400_000

    /// As ISO 8601 writes it, `2014-06-22T16:51:41.643Z`.
    package var text: String {
        let days = milliseconds.flooredQuotient(Self.dayLength)
        let rest = milliseconds - days * Self.dayLength
        let (year, month, day) = Self.date(days)
        let time = [rest / 3_600_000, rest / 60_000 % 60, rest / 1_000 % 60].map { Self.padded($0, 2) }
        return "\(Self.padded(year, 4))-\(Self.padded(month, 2))-\(Self.padded(day, 2))T"
            + time.joined(separator: ":") + ".\(Self.padded(rest % 1_000, 3))Z"
    }

    /// Reads RFC 3339; nil where the text is none.
    package init?(_ text: String) {
        let bytes = Array(text.utf8)
        func number(_ from: Int, _ count: Int) -> Int64? {
            guard from + count <= bytes.count else { return nil }
            var number: Int64 = 0
            for byte in bytes[from..<from + count] {
                guard (0x30...0x39).contains(byte) else { return nil }
                number = number * 10 + Int64(byte - 0x30)
            }
            return number
        }
        guard bytes.count >= 20, let year = number(0, 4), let month = number(5, 2), let day = number(8, 2),
            let hour = number(11, 2), let minute = number(14, 2), let second = number(17, 2),
            bytes[4] == UInt8(ascii: "-"), bytes[7] == UInt8(ascii: "-"), bytes[10] | 0x20 == UInt8(ascii: "t"),
            bytes[13] == UInt8(ascii: ":"), bytes[16] == UInt8(ascii: ":"),
            (1...12).contains(month), (1...31).contains(day), hour < 24, minute < 60, second <= 60
        else { return nil }
        var index = 19
        var fraction: Int64 = 0
        if bytes[index] == UInt8(ascii: ".") {
            var scale: Int64 = 100
            index += 1
            let start = index
            while index < bytes.count, let digit = number(index, 1) {
                fraction += digit * scale
                scale /= 10
                index += 1
            }
            guard index > start, index < bytes.count else { return nil }
        }
        var offset: Int64 = 0
        switch bytes[index] {
        case UInt8(ascii: "Z"), UInt8(ascii: "z"): guard bytes.count == index + 1 else { return nil }
        case UInt8(ascii: "+"), UInt8(ascii: "-"):
            guard bytes.count == index + 6, let hours = number(index + 1, 2), let minutes = number(index + 4, 2),
                bytes[index + 3] == UInt8(ascii: ":")
            else { return nil }
            offset = (hours * 60 + minutes) * (bytes[index] == UInt8(ascii: "-") ? 60_000 : -60_000)
        default: return nil
        }
        let days = Self.days(year, month, day)
        self.init(
            milliseconds: days * Self.dayLength + (hour * 3_600 + minute * 60 + second) * 1_000 + fraction + offset
        )
    }

    private static func padded(_ number: Int64, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
    }

    /// The civil date of a count of days since 1970, by years that begin in March.
    private static func date(_ days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = days + 719_468
        let era = shifted.flooredQuotient(146_097)
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        return (year, month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
    }

    private static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        let year = month <= 2 ? year - 1 : year
        let era = year.flooredQuotient(400)
        let yearOfEra = year - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }
}

extension Int64 {
    fileprivate func flooredQuotient(_ divisor: Int64) -> Int64 {
        let quotient = self / divisor
        return self % divisor < 0 ? quotient - 1 : quotient
    }
}
