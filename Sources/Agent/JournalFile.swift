/// The journal on disk: which keyed commands were begun, and how they ended.

import Glibc
import Notation
import Seedbox

/// One JSON object a line, only ever appended, each line synced before anything relies on it:
///
///     {"key", "digest", "time", "state": "begun", "process"}      before the command reaches Transmission;
///                                                                 with "before" where a repetition must know it
///     {"key", "digest", "time", "state": "done", "result"}        before the reply reaches the controller
///     {"key", "digest", "time", "state": "failed"}                it may be tried again
///
/// A key whose last line is `begun` belongs to a command that may or may not have been carried out before the process
/// was killed. Several agents may share the file: every use holds the lock and reads first what others appended.
struct JournalFile: Sendable {
    enum Entry: Sendable, Hashable {
        case begun(process: String, before: Value?)
        case done(Value)
    }

    struct Record: Sendable, Hashable {
        var digest: String
        var time: Int64
        var entry: Entry
    }

    /// Seconds that a key is remembered: longer than any controller keeps a command.
    static let memory: Int64 = 30 * 86_400
    /// Bytes after which the file is rewritten with what is still remembered, and after which it is damaged.
    static let compactSize = 4 << 20
    static let largestFile = 256 << 20
    /// A longer result is remembered without its contents.
    static let largestResult = 32_768

    private let path: String
    private(set) var records: [String: Record] = [:]
    private var inode: UInt64 = 0
    private var size = 0
    /// The size after the last rewriting: what is still remembered may be large by itself.
    private var compacted = 0

    init(directory: StateDirectory) {
        path = directory.path + "/journal"
    }

    /// Runs `body` with the newest records, alone among all processes.
    mutating func locked<Success>(
        now: Int64,
        _ body: (inout JournalFile) throws(Problem) -> Success
    ) throws(Problem) -> Success {
        let lock = open(path + ".lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard lock >= 0 else { throw Self.problem("open", path) }
        defer { close(lock) }
        while flock(lock, LOCK_EX) != 0 {
            guard errno == EINTR else { throw Self.problem("lock", path) }
        }
        try refresh(now: now)
        return try body(&self)
    }

    /// Within `locked` only. Durable when it returns.
    mutating func append(_ key: String, _ digest: String, _ entry: Entry?, now: Int64) throws(Problem) {
        var map: [String: Value] = ["key": .string(key), "digest": .string(digest), "time": .int(now)]
        switch entry {
        case .begun(let process, let before):
            map["state"] = "begun"
            map["process"] = .string(process)
            map["before"] = before
        case .done(let result):
            map["state"] = "done"
            map["result"] = result
        case nil: map["state"] = "failed"
        }
        let descriptor = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw Self.problem("open", path) }
        defer { close(descriptor) }
        do {
            try SmallFile.write(descriptor, JSON.encode(.map(map)) + [10], path)
        } catch {
            throw Problem(.agentFailed, error.message + " The command was not carried out.")
        }
        guard fsync(descriptor) == 0 else { throw Self.problem("sync", path) }
        if size == 0 { SmallFile.syncDirectory(String(path.prefix(upTo: path.lastIndex(of: "/")!))) }
        records[key] = entry.map { Record(digest: digest, time: now, entry: $0) }
        note(descriptor)
        guard size > Self.compactSize, size > 2 * compacted else { return }
        records = records.filter { $0.value.time > now - Self.memory }
        // What stands is complete; a larger file is no reason to refuse a command.
        try? rewrite()
    }

    private mutating func refresh(now: Int64) throws(Problem) {
        var status = stat()
        guard stat(path, &status) == 0 else {
            guard errno == ENOENT else { throw Self.problem("read", path) }
            (records, inode, size) = ([:], 0, 0)
            return
        }
        if status.st_ino == inode, Int(status.st_size) == size { return }
        let bytes: [UInt8]
        do {
            bytes = try SmallFile.read(path, limit: Self.largestFile)
        } catch {
            throw Problem(.agentFailed, error.message)
        }
        records = Self.parse(bytes, now: now)
        (inode, size) = (UInt64(status.st_ino), bytes.count)
        if bytes.count > Self.compactSize || (!bytes.isEmpty && bytes.last != 10) { try rewrite() }
    }

    /// Lines that do not decode are those that a crash cut off: what they would say did not happen.
    static func parse(_ bytes: [UInt8], now: Int64) -> [String: Record] {
        var records: [String: Record] = [:]
        for line in bytes.split(separator: 10) {
            guard let value = try? JSON.decode(Array(line)), let key = value["key"]?.string,
                let digest = value["digest"]?.string, let time = value["time"]?.int
            else { continue }
            switch value["state"]?.string {
            case "begun":
                records[key] = Record(
                    digest: digest,
                    time: time,
                    entry: .begun(process: value["process"]?.string ?? "", before: value["before"])
                )
            case "done": records[key] = Record(digest: digest, time: time, entry: .done(value["result"] ?? .null))
            case "failed": records[key] = nil
            default: continue
            }
        }
        return records.filter { $0.value.time > now - memory }
    }

    private mutating func rewrite() throws(Problem) {
        var bytes: [UInt8] = []
        for (key, record) in records.sorted(by: { ($0.value.time, $0.key) < ($1.value.time, $1.key) }) {
            var map: [String: Value] = [
                "key": .string(key), "digest": .string(record.digest), "time": .int(record.time),
            ]
            switch record.entry {
            case .begun(let process, let before):
                map.merge(["state": "begun", "process": .string(process)]) { _, new in new }
                map["before"] = before
            case .done(let result): map.merge(["state": "done", "result": result]) { _, new in new }
            }
            bytes += JSON.encode(.map(map)) + [10]
        }
        do {
            try SmallFile.replace(path, with: bytes)
        } catch {
            throw Problem(.agentFailed, error.message)
        }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Self.problem("read", path) }
        defer { close(descriptor) }
        note(descriptor)
        compacted = size
    }

    private mutating func note(_ descriptor: Int32) {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            inode = 0
            return
        }
        (inode, size) = (UInt64(status.st_ino), Int(status.st_size))
    }

    private static func problem(_ action: String, _ path: String) -> Problem {
        Problem(.agentFailed, SmallFile.failure(action, path).message + " The command was not carried out.")
    }
}
