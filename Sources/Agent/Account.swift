/// The user name and password for Transmission's RPC, from a file that nobody else can read.

import Glibc

struct Account: Sendable, Hashable {
    var user: String
    var password: String

    struct Refusal: Error, Sendable, Hashable {
        var message: String
    }

    init(user: String, password: String) {
        self.user = user
        self.password = password
    }

    /// Reads `USER:PASSWORD` from the first line.
    init(file path: String) throws(Refusal) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            throw Refusal(message: SmallFile.failure("open", path).message + " Check rpc-auth-file in agent.conf.")
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw Refusal(message: "rpc-auth-file \(path) is not a regular file.")
        }
        guard status.st_mode & 0o077 == 0, status.st_uid == geteuid() || status.st_uid == 0 else {
            throw Refusal(
                message: "rpc-auth-file \(path) can be read by others. Make it yours and `chmod 600` it."
            )
        }
        let bytes: [UInt8]
        do {
            bytes = try SmallFile.read(descriptor: descriptor, path, limit: 4096)
        } catch {
            throw Refusal(message: error.message)
        }
        let line = String(decoding: bytes.prefix { $0 != 10 && $0 != 13 }, as: UTF8.self)
        guard let colon = line.firstIndex(of: ":"), colon > line.startIndex, !line.utf8.contains(0) else {
            throw Refusal(message: "rpc-auth-file \(path) does not hold USER:PASSWORD in its first line.")
        }
        user = String(line[..<colon])
        password = String(line[line.index(after: colon)...])
        guard password.utf8.count >= SecretFilter.shortest else {
            throw Refusal(
                message: "The password in rpc-auth-file \(path) has fewer than \(SecretFilter.shortest) bytes, too few "
                    + "to be blotted out of what programs print. Give Transmission a longer one."
            )
        }
    }
}
