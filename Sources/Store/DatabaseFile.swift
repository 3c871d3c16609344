// The database as a file: made for its owner's eyes only, and looked at before SQLite may touch it.

import Glibc
import Seedbox

enum DatabaseFile {
    /// Checks the file's owner, mode and header; first makes it, and its directory, where it is missing.
    ///
    /// `initialize` gets a path beside it and leaves a closed database there, which then takes its place at once: a
    /// crash at any moment leaves either no database or a whole one, and of two processes that begin together one wins.
    ///
    /// Not to be called while this process has the database open: closing any descriptor of a file drops the process's
    /// locks on it.
    static func prepare(_ path: String, initialize: (String) throws -> Void) throws {
        try makeDirectory(of: path)
        if access(path, F_OK) != 0, errno == ENOENT { try make(path, initialize) }
        let descriptor = Glibc.open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)
        guard descriptor >= 0 else { throw StoreFault.unopenable(reason(errno)).problem(path) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw StoreFault.unopenable("it is not a file").problem(path)
        }
        guard status.st_uid == geteuid() || geteuid() == 0 else {
            throw StoreFault.unopenable("it belongs to another user").problem(path)
        }
        // SQLite gives its -wal and -shm files the same mode.
        if status.st_mode & 0o077 != 0 {
            guard fchmod(descriptor, 0o600) == 0 else {
                throw StoreFault.unopenable("others may read it, and \(reason(errno))").problem(path)
            }
        }
        var header = [UInt8](repeating: 0, count: headerSize)
        guard pread(descriptor, &header, headerSize, 0) == headerSize,
            header.starts(with: magic),
            header[applicationIDOffset..<applicationIDOffset + 4]
                .elementsEqual(withUnsafeBytes(of: LedgerSchema.applicationID.bigEndian, Array.init))
        else { throw StoreFault.notFarseed.problem(path) }
    }

    /// Runs `body` while no other process, nor another call, is in one for the same directory.
    ///
    /// By a lock of the directory: it leaves no file behind, and SQLite's own locks are of another kind.
    static func alone(with path: String, within patience: Duration, _ body: () throws -> Void) throws {
        let descriptor = Glibc.open(directory(of: path) ?? ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw StoreFault.unopenable(reason(errno)).problem(path) }
        defer { close(descriptor) }
        let deadline = ContinuousClock.now + patience
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            guard errno == EWOULDBLOCK || errno == EINTR else {
                throw StoreFault.unopenable(reason(errno)).problem(path)
            }
            guard ContinuousClock.now < deadline else { throw StoreFault.locked.problem(path) }
            usleep(knockEvery)
        }
        try body()
    }

    /// Between two looks at a lock, in microseconds.
    private static let knockEvery: UInt32 = 5_000

    /// SQLite's file format, section 1.3: the header's size, its first bytes and where the application id is.
    private static let headerSize = 100
    private static let magic = Array("SQLite format 3\0".utf8)
    private static let applicationIDOffset = 68

    private static func make(_ path: String, _ initialize: (String) throws -> Void) throws {
        let new = "\(path).\(getpid()).new"
        let leftovers = ["", "-wal", "-shm", "-journal"].map { new + $0 }
        func clear() {
            for leftover in leftovers { unlink(leftover) }
        }
        // Of a process with this id that was killed here.
        clear()
        defer { clear() }
        let descriptor = Glibc.open(new, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw StoreFault.unopenable(reason(errno)).problem(path) }
        close(descriptor)
        try initialize(new)
        guard link(new, path) == 0 || errno == EEXIST else {
            throw StoreFault.unopenable(reason(errno)).problem(path)
        }
    }

    private static func makeDirectory(of path: String) throws(Problem) {
        guard var directory = directory(of: path) else { return }
        var missing: [String] = []
        while !directory.isEmpty, access(directory, F_OK) != 0 {
            missing.append(directory)
            directory = directory.lastIndex(of: "/").map { String(directory[..<$0]) } ?? ""
        }
        for directory in missing.reversed() {
            guard mkdir(directory, 0o700) == 0 || errno == EEXIST else {
                throw StoreFault.unopenable("its directory cannot be made, \(reason(errno))").problem(path)
            }
        }
    }

    /// Nil where `path` names none but the root or the one we are in.
    private static func directory(of path: String) -> String? {
        guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return nil }
        return String(path[..<slash])
    }

    private static func reason(_ code: Int32) -> String {
        String(cString: strerror(code))
    }
}
