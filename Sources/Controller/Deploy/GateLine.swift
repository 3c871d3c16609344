/// The line of `authorized_keys` that lets a key start the agent and nothing else; pure.
import Foundation

/// What a line says that binds a key to the gate.
enum GateLine {
    /// The `--config` that a gate's line names; nil where there is none that a shell may be given.
    static func configuration(in line: String) -> String? {
        guard let option = line.range(of: " --config "), line[..<option.lowerBound].contains("farseed-agent gate ")
        else { return nil }
        let path = String(line[option.upperBound...].prefix { $0 != " " && $0 != "\"" })
        return path.hasPrefix("/") && FarCommand.isPlain(path) ? path : nil
    }

    /// True for what `farseed-agent authorize` prints for this key and program.
    static func isSound(_ line: String, key: String, program: String) -> Bool {
        line.utf8.allSatisfy { (0x20..<0x7F).contains($0) } && line.utf8.count <= 4096
            && line.hasPrefix("restrict,command=\"\(program) gate --role control")
            && line.contains("\" ssh-ed25519 \(key)") && line.filter { $0 == "\"" }.count == 2
    }
}
