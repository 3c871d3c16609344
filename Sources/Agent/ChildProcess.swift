/// A program started without a shell, in a process group of its own.

import Dispatch
import Glibc
import Synchronization

/// Started by `posix_spawn`; whoever starts it owns the three descriptors and must `await` its end.
final class ChildProcess: Sendable {
    enum Ending: Sendable, Hashable {
        case status(Int32)
        case signal(Int32)
    }

    struct Failure: Error, Sendable, Hashable {
        /// The `errno` of what failed.
        var number: Int32
        var message: String
    }

    /// Ours: write to `input`, read from `output` and `errors`. All close on exec.
    struct Pipes: Sendable {
        var input: Int32
        var output: Int32
        var errors: Int32
    }

    /// From the first signal to the one that cannot be ignored, and from the program's end to that of its children.
    static let grace = DispatchTimeInterval.seconds(2)

    let pid: pid_t
    let pipes: Pipes
    /// Whether the process is collected: from then on its number may be somebody else's.
    private let isCollected = Mutex(false)

    /// Held while a program is started.
    private static let starting = Mutex(())
    private static let waiters = DispatchQueue(label: "farseed.agent.children", attributes: .concurrent)

    private init(pid: pid_t, pipes: Pipes) {
        self.pid = pid
        self.pipes = pipes
    }

    /// `arguments` begin with the program's name.
    @Sendable static func start(
        _ path: String,
        _ arguments: [String],
        _ environment: [String]
    ) throws(Failure) -> ChildProcess {
        // Swift does not see pipe2: between a pipe and its mark no other program may start, or it would inherit it.
        let started: Result<ChildProcess, Failure> = starting.withLock { _ in
            Result { () throws(Failure) in try startLocked(path, arguments, environment) }
        }
        return try started.get()
    }

    /// Marks everything above 2 to close on exec: what the agent was started with, and what swift-nio opens without the mark
    /// (its epoll descriptor).
    static func markAll() {
        guard let directory = opendir("/proc/self/fd") else { return }
        defer { closedir(directory) }
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if let descriptor = Int32(name), descriptor > 2 { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
        }
    }

    private static func startLocked(
        _ path: String,
        _ arguments: [String],
        _ environment: [String]
    ) throws(Failure) -> ChildProcess {
        var descriptors: [Int32] = []
        func pair() throws(Failure) -> (read: Int32, write: Int32) {
            var ends: [Int32] = [-1, -1]
            guard pipe(&ends) == 0 else { throw failure(errno, "open a pipe") }
            descriptors += ends
            for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
            return (ends[0], ends[1])
        }
        do throws(Failure) {
            let input = try pair()
            let output = try pair()
            let errors = try pair()
            markAll()
            let pid = try spawn(path, arguments, environment, [input.read, output.write, errors.write])
            for descriptor in [input.read, output.write, errors.write] { close(descriptor) }
            return ChildProcess(
                pid: pid,
                pipes: Pipes(input: input.write, output: output.read, errors: errors.read)
            )
        } catch {
            for descriptor in descriptors { close(descriptor) }
            throw error
        }
    }

    /// Asks the whole group to end, and ends it after the grace.
    func end() {
        signal(SIGTERM)
        Self.waiters.asyncAfter(deadline: .now() + Self.grace) { self.signal(SIGKILL) }
    }

    /// Gives the grace to processes of the group that outlive the program, and may hold its pipes open.
    func endLeftovers() {
        Self.waiters.asyncAfter(deadline: .now() + Self.grace) { self.signal(SIGKILL) }
    }

    /// Signals the whole group; nothing happens once the process is collected.
    func signal(_ number: Int32) {
        isCollected.withLock { isCollected in
            if !isCollected { _ = kill(-pid, number) }
        }
    }

    /// Returns when the program has ended. It stays uncollected, so its group's number stays its own. Not cancellable:
    /// whoever gives up calls `end` and waits.
    func exited() async {
        await withCheckedContinuation { continuation in
            Self.waiters.async { [pid] in
                var info = siginfo_t()
                while waitid(P_PID, id_t(pid), &info, WEXITED | WNOWAIT) != 0, errno == EINTR {}
                continuation.resume()
            }
        }
    }

    /// Ends what is left of the group and collects the program, which must have exited.
    func collect() -> Ending {
        isCollected.withLock { isCollected in
            _ = kill(-pid, SIGKILL)
            var status: Int32 = 0
            while waitpid(pid, &status, 0) < 0, errno == EINTR {}
            isCollected = true
            // WIFEXITED and its sisters are macros that Swift does not see.
            let signal = status & 0x7F
            return signal == 0 ? .status((status >> 8) & 0xFF) : .signal(signal)
        }
    }

    private static func spawn(
        _ path: String,
        _ arguments: [String],
        _ environment: [String],
        _ standard: [Int32]
    ) throws(Failure) -> pid_t {
        var actions = posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        guard posix_spawn_file_actions_init(&actions) == 0 else { throw failure(ENOMEM, "start a program") }
        defer { posix_spawn_file_actions_destroy(&actions) }
        guard posix_spawnattr_init(&attributes) == 0 else { throw failure(ENOMEM, "start a program") }
        defer { posix_spawnattr_destroy(&attributes) }

        var all = sigset_t()
        var none = sigset_t()
        sigfillset(&all)
        sigemptyset(&none)
        var results = [
            posix_spawnattr_setflags(
                &attributes,
                Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK)
            ),
            posix_spawnattr_setpgroup(&attributes, 0),
            // We ignore SIGPIPE; a program would inherit that and never notice that nobody listens any more.
            posix_spawnattr_setsigdefault(&attributes, &all),
            posix_spawnattr_setsigmask(&attributes, &none),
        ]
        // The originals are above 2, since our own standard descriptors are open; none overwrites another.
        for (target, descriptor) in standard.enumerated() {
            results.append(posix_spawn_file_actions_adddup2(&actions, descriptor, Int32(target)))
        }
        if let result = results.first(where: { $0 != 0 }) { throw failure(result, "prepare a program") }

        var argv: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        var envp: [UnsafeMutablePointer<CChar>?] = environment.map { strdup($0) } + [nil]
        defer { for text in argv + envp { free(text) } }
        var pid: pid_t = 0
        let result = posix_spawn(&pid, path, &actions, &attributes, &argv, &envp)
        guard result == 0 else { throw failure(result, "start \(path)") }
        return pid
    }

    private static func failure(_ number: Int32, _ action: String) -> Failure {
        Failure(number: number, message: "Cannot \(action): \(String(cString: strerror(number))).")
    }
}
