/// The agent's static file at home: where it is found, what it is for, and the name of its version on the seedbox.
import Crypto
import Foundation
import Seedbox

struct AgentFile: Sendable {
    /// `Scripts/build-agent` makes 12 MB; nothing that is an agent comes near this.
    static let largest = 64_000_000

    var path: String
    var bytes: [UInt8]
    /// SHA-256 in 64 hex digits.
    var digest: String

    /// The name of its directory on the seedbox: the version and the digest's beginning.
    var label: DeployLabel { DeployLabel(version: Farseed.version, digest: digest) }

    init(path: String, bytes: [UInt8]) {
        self.path = path
        self.bytes = bytes
        digest = Self.digest(bytes)
    }

    static func digest(_ bytes: some DataProtocol) -> String {
        SHA256.hash(data: bytes).map { String(UInt16($0) + 0x100, radix: 16).dropFirst() }.joined()
    }

    /// Reads the file that was named, or the one that a build has put near this program.
    static func find(_ given: String?) throws -> AgentFile {
        if let given {
            let file = try read(given)
            guard !ELFHead(file.bytes).needsLoader else { throw Problem(.refused, notStatic(given)) }
            return file
        }
        let own = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
        let places = [
            own.appending(path: "farseed-agent"), own.appending(path: "../../agent/release/farseed-agent"),
            own.appending(path: "../lib/farseed/farseed-agent"),
        ]
        for place in places where FileManager.default.isExecutableFile(atPath: place.path) {
            let file = try read(place.standardizedFileURL.path)
            if !ELFHead(file.bytes).needsLoader { return file }
        }
        throw Problem(
            .notFound,
            "There is no static farseed-agent beside this program. Make one with `Scripts/build-agent`, and give the "
                + "path that it prints with --agent."
        )
    }

    private static func notStatic(_ path: String) -> String {
        "\(visible(path)) needs libraries that the seedbox may not have. Give the static file that "
            + "`Scripts/build-agent` makes."
    }

    private static func read(_ path: String) throws -> AgentFile {
        let missing = Problem(.notFound, "The agent's file \(visible(path)) cannot be read. Correct --agent.")
        guard let file = FileHandle(forReadingAtPath: path), let data = try? file.read(upToCount: largest + 1) else {
            throw missing
        }
        guard !data.isEmpty else { throw missing }
        guard data.count <= largest else {
            throw Problem(.tooLarge, "\(visible(path)) is far too large to be the agent. Correct --agent.")
        }
        return AgentFile(path: path, bytes: Array(data))
    }
}
