/// Values on the command line that the argument parser does not know by itself.
import ArgumentParser
import Notation
import Seedbox

extension TorrentStatus: ExpressibleByArgument {}

/// A torrent's or file's priority.
enum Priority: String, Sendable, CaseIterable, ExpressibleByArgument {
    case low, normal, high

    var number: Int64 {
        switch self {
        case .low: -1
        case .normal: 0
        case .high: 1
        }
    }
}

/// File numbers, such as `0,2,5-7`.
struct NumberList: Sendable, Equatable, ExpressibleByArgument {
    /// More files than any torrent has; a slip such as 1-99999999 must not fill memory.
    private static let most = 100_000

    var numbers: [Int64]

    var value: Value { .array(numbers.map { .int($0) }) }

    init?(argument: String) {
        var numbers: [Int64] = []
        for part in argument.split(separator: ",", omittingEmptySubsequences: false) {
            let ends = part.split(separator: "-", omittingEmptySubsequences: false)
            guard let first = ends.first.flatMap({ UInt32($0) }), let last = ends.last.flatMap({ UInt32($0) }),
                ends.count <= 2, first <= last, numbers.count + Int(last - first) < Self.most
            else { return nil }
            numbers += (first...last).map { Int64($0) }
        }
        self.numbers = numbers
    }
}

/// Bytes per second, such as `500k`, `2.5M` or `none`.
struct RateArgument: Sendable, Equatable, ExpressibleByArgument {
    /// Nil for no limit.
    var bytes: Int64?

    var value: Value { bytes.map { .int($0) } ?? .null }

    init?(argument: String) {
        if argument == "none" { return }
        var text = Substring(argument)
        let units: [Character: Double] = ["k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9]
        var factor = 1.0
        if let unit = text.last.flatMap({ units[$0] }) {
            factor = unit
            text.removeLast()
        }
        guard let number = Double(text), number >= 0, number * factor <= 1e12 else { return nil }
        bytes = Int64(number * factor)
    }
}

/// A ratio or a number of minutes, `none` for no limit, `session` for the session's own.
enum LimitArgument: Sendable, Equatable, ExpressibleByArgument {
    case session, none
    case limit(Double)

    init?(argument: String) {
        switch argument {
        case "session": self = .session
        case "none": self = .none
        default:
            guard let number = Double(argument), number >= 0, number.isFinite else { return nil }
            self = .limit(number)
        }
    }

    /// 0 the session's, 1 its own, 2 unlimited.
    var mode: Int64 {
        switch self {
        case .session: 0
        case .limit: 1
        case .none: 2
        }
    }
}
