/// One line on a terminal that says how far a command has come, and goes away again.
import Glibc
import Synchronization

final class ProgressLine: Sendable {
    private let isShown: Bool
    private let last = Mutex("")

    /// Where somebody looks: not where `hidden` says that a program reads what the command prints.
    init(hidden: Bool) { isShown = !hidden && isatty(STDERR_FILENO) == 1 }

    func copied(_ count: Int, of total: Int) {
        note(
            "Copying: \(Amounts.bytes(Int64(count))) of \(Amounts.bytes(Int64(total))), \(100 * count / max(1, total)) %"
        )
    }

    func note(_ text: String) {
        guard isShown else { return }
        let isNew = last.withLock { last in
            defer { last = text }
            return last != text
        }
        if isNew { OutputFile.error.write(now: "\r\u{1B}[K" + text) }
    }

    func clear() {
        if isShown { OutputFile.error.write(now: "\r\u{1B}[K") }
    }
}
