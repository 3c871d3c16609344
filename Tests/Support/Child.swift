import Dispatch
package import Glibc
import Synchronization

/// A child process whose standard error is kept and waited for.
///
/// Not Foundation's `Process`: that waits for a child on a thread which serves all children as soon as the child closes
/// its inherited descriptors, as sshd and tor do, and then no other child's end is noticed.
package final class Child: Sendable {
    package struct Missing: Error, CustomStringConvertible {
        package let description: String
    }

    package let id: pid_t
    private let state = Mutex((text: "", hasEnded: false))
    private let changed = DispatchSemaphore(value: 0)
    private let status = Mutex<Int32?>(nil)

    /// What it has written to standard error.
    package var text: String { state.withLock { $0.text } }

    /// Starts a program, looked for on the path, without standard input.
    package init(_ arguments: [String]) throws {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw Missing(description: "no descriptors are left") }
        let (reading, writing) = (ends[0], ends[1])
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, writing, 2)
        var words = arguments.map { strdup($0) } + [nil]
        var id: pid_t = 0
        let code = posix_spawnp(&id, arguments[0], &actions, nil, &words, environ)
        for word in words { free(word) }
        posix_spawn_file_actions_destroy(&actions)
        close(writing)
        guard code == 0 else {
            close(reading)
            throw Missing(description: "\(arguments[0]) is missing; Scripts/test installs what the tests need")
        }
        self.id = id
        DispatchQueue(label: "child").async { [self] in
            var buffer = [UInt8](repeating: 0, count: 4_096)
            while true {
                let count = read(reading, &buffer, buffer.count)
                state.withLock {
                    if count > 0 { $0.text += String(decoding: buffer[..<count], as: UTF8.self) }
                    $0.hasEnded = count <= 0
                }
                changed.signal()
                if count <= 0 { break }
            }
            close(reading)
        }
    }

    /// True once it has written `words`.
    package func wait(for words: String, within seconds: Double) -> Bool {
        let deadline = DispatchTime.now() + seconds
        while true {
            let (found, ended) = state.withLock { ($0.text.contains(words), $0.hasEnded) }
            if found || ended { return found }
            if changed.wait(timeout: deadline) == .timedOut { return false }
        }
    }

    /// Sends it a signal and waits for its end; the exit status, or the signal's number and 128.
    @discardableResult
    package func end(_ signal: Int32 = SIGTERM) -> Int32 {
        status.withLock { status in
            if let status { return status }
            kill(id, signal)
            var code: Int32 = 0
            while waitpid(id, &code, 0) < 0, errno == EINTR {}
            let result = code & 0x7F == 0 ? code >> 8 & 0xFF : 128 + code & 0x7F
            status = result
            return result
        }
    }
}
