/// Tells whether a resident agent is the one that this program and configuration would start.

import Glibc

/// The first line that a relay sends to the resident: `farseed-agent IDENTITY ROLE`. The resident answers `ok`, and the
/// stream is the protocol's from there; or `retired` where it is another program or was configured otherwise: it then
/// takes no more connections and ends with its last one, and the relay starts a new resident.
enum ResidentIdentity {
    /// Bytes of the line.
    static let longestLine = 1024

    /// Program and configuration files by place, size and time of change.
    static func of(files: [String?]) -> String {
        (["/proc/self/exe"] + files).map { file in
            var status = stat()
            guard let file, stat(file, &status) == 0 else { return "-" }
            return
                "\(status.st_dev).\(status.st_ino).\(status.st_size).\(status.st_mtim.tv_sec).\(status.st_mtim.tv_nsec)"
        }.joined(separator: ",")
    }

    static func line(_ identity: String, _ role: Role) -> String { "farseed-agent \(identity) \(role.rawValue)\n" }

    enum Greeting: Sendable, Hashable {
        case serve(Role)
        case retire
        case garbage
    }

    static func read(_ line: some StringProtocol, own: String) -> Greeting {
        let words = line.split(separator: " ")
        guard words.count == 3, words[0] == "farseed-agent", let role = Role(rawValue: String(words[2])) else {
            return .garbage
        }
        return words[1] == own ? .serve(role) : .retire
    }
}
