/// Small files read whole and replaced whole.

import Glibc

enum SmallFile {
    struct Failure: Error, Sendable, Hashable {
        var number: Int32
        var message: String
    }

    /// Reads at most `limit` bytes of a regular file or of /proc.
    static func read(_ path: String, limit: Int) throws(Failure) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw failure("open", path) }
        defer { close(descriptor) }
        return try read(descriptor: descriptor, path, limit: limit)
    }

    static func read(descriptor: Int32, _ path: String, limit: Int) throws(Failure) -> [UInt8] {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: min(limit + 1, 65_536))
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count == 0 { return bytes }
            if count < 0 {
                if errno == EINTR { continue }
                throw failure("read", path)
            }
            bytes.append(contentsOf: chunk[..<count])
            guard bytes.count <= limit else {
                throw Failure(number: EFBIG, message: "\(path) is larger than \(limit) bytes.")
            }
        }
    }

    static func text(_ path: String, limit: Int = 65_536) -> String? {
        (try? read(path, limit: limit)).map { String(decoding: $0, as: UTF8.self) }
    }

    /// Durable before it returns: the new file is synced, renamed over the old one, and the directory is synced.
    static func replace(_ path: String, with bytes: [UInt8]) throws(Failure) {
        let temporary = path + ".new"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw failure("create", temporary) }
        do throws(Failure) {
            try write(descriptor, bytes, temporary)
            guard fsync(descriptor) == 0 else { throw failure("sync", temporary) }
        } catch {
            close(descriptor)
            unlink(temporary)
            throw error
        }
        close(descriptor)
        guard rename(temporary, path) == 0 else { throw failure("rename", temporary) }
        if let slash = path.lastIndex(of: "/") { syncDirectory(String(path[..<slash])) }
    }

    static func write(_ descriptor: Int32, _ bytes: [UInt8], _ path: String) throws(Failure) {
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                Glibc.write(descriptor, buffer.baseAddress! + written, buffer.count - written)
            }
            if count < 0 {
                if errno == EINTR { continue }
                throw failure("write", path)
            }
            written += count
        }
    }

    static func syncDirectory(_ path: String) {
        let descriptor = open(path.isEmpty ? "/" : path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        fsync(descriptor)
        close(descriptor)
    }

    static func failure(_ action: String, _ path: String) -> Failure {
        let number = errno
        return Failure(number: number, message: "Cannot \(action) \(path): \(String(cString: strerror(number))).")
    }
}
