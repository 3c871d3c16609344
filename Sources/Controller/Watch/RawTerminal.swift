/// Puts the terminal into raw mode on its other screen, and back.
import Foundation
import Notation
import Seedbox
import Synchronization

final class RawTerminal: Sendable {
    static let standard = RawTerminal()

    private let before = Mutex<termios?>(nil)

    func enter() throws(Problem) {
        var modes = termios()
        guard tcgetattr(STDIN_FILENO, &modes) == 0 else {
            throw Problem(
                .refused,
                "This terminal cannot be switched to single keys: \(systemReason(errno)). Use --json."
            )
        }
        before.withLock { $0 = modes }
        modes.c_lflag &= ~tcflag_t(ICANON | ECHO)
        modes.c_iflag &= ~tcflag_t(ICRNL | IXON)
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &modes)
        // The other screen, without cursor and line wrap.
        write("\u{1B}[?1049h\u{1B}[?25l\u{1B}[?7l")
    }

    func leave() {
        let modes = before.withLock { before in
            defer { before = nil }
            return before
        }
        guard var modes else { return }
        write("\u{1B}[?7h\u{1B}[?25h\u{1B}[?1049l")
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &modes)
    }

    private func write(_ text: String) { OutputFile.standard.write(now: text) }
}

/// The newest state of the watch, taken when the screen is drawn.
final class Latest: Sendable {
    private let state = Mutex((mirror: Mirror(epoch: 0), link: Value.null))

    func note(_ mirror: Mirror) { state.withLock { $0.mirror = mirror } }

    func note(link: Value) { state.withLock { $0.link = link } }

    func take() -> (mirror: Mirror, link: Value) { state.withLock(\.self) }
}
