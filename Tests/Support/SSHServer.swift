import Foundation
import Glibc
import Synchronization

/// A real sshd on loopback, as the user who runs the tests, with everything in a temporary directory of its own.
package final class SSHServer: Sendable {
    package struct Missing: Error, CustomStringConvertible {
        package let description: String
    }

    package let port: Int
    package let directory: String
    private let process: Child

    /// The user that the tests run as, and whom they log in as.
    package let user: String

    package var userKeyPath: String { directory + "/user" }
    package var otherKeyPath: String { directory + "/other" }
    package var hostKeyLine: String { Self.text(of: directory + "/host.pub") }
    package var otherKeyLine: String { Self.text(of: directory + "/other.pub") }

    /// `extra` are further lines of its configuration; they come first, and sshd takes the first of each.
    package init(_ extra: [String] = [], keyOptions: String = "") throws {
        let programs: [String] = ["/usr/sbin/sshd", "/usr/local/sbin/sshd"]
        guard let program = programs.first(where: { access($0, X_OK) == 0 }) else {
            throw Missing(description: "sshd is missing; install it with: apt install openssh-server")
        }
        var template = Array("/tmp/farseed-sshd-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Missing(description: "no temporary directory") }
        directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        user = NSUserName()
        for name in ["host", "user", "other"] {
            try Self.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", "\(directory)/\(name)"])
        }
        let authorized = keyOptions + Self.text(of: directory + "/user.pub") + "\n"
        try authorized.write(toFile: directory + "/authorized", atomically: true, encoding: .utf8)
        if geteuid() == 0 { mkdir("/run/sshd", 0o755) }

        var attempt = 0
        while true {
            attempt += 1
            let port = try Self.freePort()
            let lines =
                extra + [
                    "ListenAddress 127.0.0.1", "Port \(port)", "HostKey \(directory)/host", "PidFile none",
                    "AuthorizedKeysFile \(directory)/authorized", "StrictModes no", "UsePAM no", "PermitRootLogin yes",
                    "PasswordAuthentication no", "KbdInteractiveAuthentication no", "LogLevel VERBOSE",
                    "MaxStartups 200", "MaxSessions 100",
                    // Keeps bash from reading the user's own .bashrc, which it does at level 1 under sshd.
                    "SetEnv SHLVL=2",
                ]
            let configuration = directory + "/sshd_config"
            try lines.joined(separator: "\n").appending("\n")
                .write(toFile: configuration, atomically: true, encoding: .utf8)
            let process = try Child([program, "-D", "-e", "-f", configuration])
            if process.wait(for: "Server listening", within: 10) {
                self.port = port
                self.process = process
                return
            }
            process.end()
            guard attempt < 5 else { throw Missing(description: "sshd does not start: \(process.text)") }
        }
    }

    deinit {
        // sshd's children of open connections end when their sockets do.
        process.end()
        try? FileManager.default.removeItem(atPath: directory)
    }

    /// Stops the whole server and its sessions for a while, as a frozen machine would; `false` lets it go on.
    package func freeze(_ frozen: Bool) {
        for id in [process.id] + Self.children(of: process.id) {
            kill(id, frozen ? SIGSTOP : SIGCONT)
        }
    }

    /// Ends all sessions as if their processes had crashed.
    package func dropSessions() {
        for id in Self.children(of: process.id) { kill(id, SIGKILL) }
    }

    private static func children(of parent: Int32) -> [Int32] {
        var found: [Int32] = []
        for name in (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? [] {
            guard let id = Int32(name), let status = FileManager.default.contents(atPath: "/proc/\(id)/stat") else {
                continue
            }
            let fields = String(decoding: status, as: UTF8.self).split(separator: ")").last?.split(separator: " ") ?? []
            if fields.count > 1, Int32(fields[1]) == parent {
                found.append(id)
                found += children(of: id)
            }
        }
        return found
    }

    private static func text(of path: String) -> String {
        String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
            .trimmingCharacters(in: .whitespacesAndNewlines)
    }

    package static func run(_ arguments: [String]) throws {
        guard try Child(arguments).end(SIGCONT) == 0 else {
            throw Missing(description: "\(arguments[0]) failed; install it with: apt install openssh-client")
        }
    }

    /// A port that was free a moment ago.
    private static func freePort() throws -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let code = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) == 0 ? getsockname(descriptor, $0, &length) : -1
            }
        }
        guard code == 0 else { throw Missing(description: "no free port on loopback") }
        return Int(UInt16(bigEndian: address.sin_port))
    }
}
