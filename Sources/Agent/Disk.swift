/// A file system that holds downloads.

import Glibc
import Notation

struct Disk: Sendable, Hashable {
    /// One of the directories on it, the shortest.
    var directory: String { directories.first ?? "/" }
    /// All that were looked at on it.
    var directories: [String]
    var total: Int64
    /// Bytes that this user may still write.
    var free: Int64

    /// At most so many directories are looked at, and file systems asked: what others put into the box must not cost us
    /// the day.
    static let mostDirectories = 4096, mostDisks = 256

    /// One for each file system, in the order of their directories.
    static func all(holding directories: Set<String>) -> [Disk] {
        var disks: [Disk] = []
        var places: [UInt64: Int] = [:]
        let ordered = directories.sorted { ($0.utf8.count, $0) < ($1.utf8.count, $1) }
        for directory in ordered.prefix(mostDirectories) where directory.hasPrefix("/") {
            var status = stat()
            var figures = statvfs()
            guard stat(directory, &status) == 0 else { continue }
            if let place = places[UInt64(status.st_dev)] {
                disks[place].directories.append(directory)
                continue
            }
            guard disks.count < mostDisks, statvfs(directory, &figures) == 0 else { continue }
            places[UInt64(status.st_dev)] = disks.count
            let unit = Int64(clamping: figures.f_frsize)
            disks.append(
                Disk(
                    directories: [directory],
                    total: Int64(clamping: figures.f_blocks) &* unit,
                    free: Int64(clamping: figures.f_bavail) &* unit
                )
            )
        }
        return disks
    }

    /// Free space in steps of 16 MiB, so that a download is not news every few seconds.
    func value(reserve: Int64) -> Value {
        [
            "directory": .string(directory), "total": .int(total), "free": .int(free & ~((16 << 20) - 1)),
            "low": .bool(free < reserve),
        ]
    }
}
