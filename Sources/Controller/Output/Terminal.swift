/// What is known of the place where output goes: terminal or not, how wide, with colours or without.
import Foundation

struct Terminal: Sendable, Equatable {
    var isTerminal: Bool
    /// Columns; nil where there is no edge to keep within.
    var width: Int?
    var height: Int?
    var colours: Bool

    /// Nobody looks: a file or another program reads.
    static let none = Terminal(isTerminal: false, width: nil, height: nil, colours: false)

    /// Colours on a terminal only, and not where `NO_COLOR` (no-color.org) or `TERM=dumb` forbids them.
    static func of(_ descriptor: Int32, environment: [String: String] = ProcessInfo.processInfo.environment) -> Terminal
    {
        guard isatty(descriptor) == 1 else { return .none }
        var size = winsize()
        let known = ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0
        return Terminal(
            isTerminal: true,
            width: known && size.ws_col > 0 ? Int(size.ws_col) : environment["COLUMNS"].flatMap { Int($0) } ?? 80,
            height: known && size.ws_row > 0 ? Int(size.ws_row) : 24,
            colours: (environment["NO_COLOR"] ?? "").isEmpty && environment["TERM"] != "dumb"
        )
    }
}

/// The few colours used, as SGR codes.
enum Tint: String, Sendable {
    case bold = "1"
    case faint = "2"
    case red = "31"
    case green = "32"
    case yellow = "33"
    case blue = "34"
    case cyan = "36"
    case reverse = "7"

    func paint(_ text: String, _ on: Bool) -> String {
        on && !text.isEmpty ? "\u{1B}[\(rawValue)m\(text)\u{1B}[0m" : text
    }
}
