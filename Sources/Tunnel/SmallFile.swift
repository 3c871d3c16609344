/// Reads files that are small by nature: cookies, keys, passwords.
import Glibc
import Seedbox

enum SmallFile {
    /// The file's bytes; throws a `Problem` where it cannot be read or is larger than `limit`.
    static func read(_ path: String, atMost limit: Int) throws -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw Problem(.secretUnreadable, "\(path) cannot be read: \(String(cString: strerror(errno))).")
        }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: limit + 1)
        var count = 0
        while count < bytes.count {
            let room = bytes.count - count
            let got = bytes.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress! + count, room) }
            if got == 0 { break }
            guard got > 0 else {
                if errno == EINTR { continue }
                throw Problem(.secretUnreadable, "\(path) cannot be read: \(String(cString: strerror(errno))).")
            }
            count += got
        }
        guard count <= limit else {
            throw Problem(.secretUnreadable, "\(path) is larger than \(limit) bytes and so not what it should be.")
        }
        return Array(bytes[..<count])
    }
}
