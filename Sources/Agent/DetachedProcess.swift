/// Starts a process that does not end with this one.

import Glibc

enum DetachedProcess {
    /// A log larger than this is begun anew.
    static let largestLog = 1 << 20

    /// In a session of its own, without our standard streams: it would keep sshd's pipes open and the connection with
    /// them. Its standard output is a pipe on which it says a line when it is ready; true where it did in time.
    static func start(
        _ path: String,
        arguments: [String],
        log: String,
        readyWithin milliseconds: Int32
    ) throws(SmallFile.Failure) -> Bool {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw SmallFile.failure("open", "a pipe") }
        let (reader, writer) = (ends[0], ends[1])
        defer { close(reader) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        var status = stat()
        let isLarge = lstat(log, &status) == 0 && status.st_size > largestLog
        let flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | (isLarge ? O_TRUNC : 0)
        let journal = open(log, flags, 0o600)
        let nowhere = Nowhere.open()
        do {
            defer { for descriptor in [writer, journal, nowhere] where descriptor >= 0 { close(descriptor) } }
            guard journal >= 0, nowhere >= 0 else { throw SmallFile.failure("open", log) }
            try spawn(path, arguments, [nowhere, writer, journal])
        }
        var waiting = pollfd(fd: reader, events: Int16(POLLIN), revents: 0)
        guard poll(&waiting, 1, milliseconds) == 1 else { return false }
        var byte: UInt8 = 0
        return read(reader, &byte, 1) == 1
    }

    private static func spawn(_ path: String, _ arguments: [String], _ standard: [Int32]) throws(SmallFile.Failure) {
        var actions = posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        // POSIX_SPAWN_SETSID, which Swift does not see: a session of its own, out of reach of the connection's end.
        posix_spawnattr_setflags(&attributes, 0x80)
        ChildProcess.markAll()
        for (target, descriptor) in standard.enumerated() {
            posix_spawn_file_actions_adddup2(&actions, descriptor, Int32(target))
        }
        var argv: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        defer { for text in argv { free(text) } }
        var pid: pid_t = 0
        errno = posix_spawn(&pid, path, &actions, &attributes, &argv, environ)
        guard errno == 0 else { throw SmallFile.failure("start", path) }
    }
}
