/// The `[worker.NAME]` sections: programs that enter the subscription service by a secret or key of their own.
import Notation

extension ConfigurationReader {
    /// Where workers' own procedures and topics may lie among the controller's.
    private static let ours = "farseed.worker."

    mutating func read(workers: Section?, into configuration: inout Configuration) {
        guard let workers else { return }
        for name in workers.values.keys.sorted() {
            guard Self.isBoxName(name), name != Owner.name else {
                fault(
                    workers.path + [name],
                    "The worker's name \"\(visible(name))\" is not allowed: use 1 to 32 lower-case letters, digits and "
                        + "`_`, beginning with a letter, and not `\(Owner.name)`."
                )
                continue
            }
            guard let section = section(workers, name) else { continue }
            if let worker = worker(name, section, boxes: configuration.boxes.map(\.name)) {
                configuration.workers.append(worker)
            }
        }
    }

    private mutating func worker(_ name: String, _ section: Section, boxes: [String]) -> Configuration.Worker? {
        know(section, ["role", "secret-file", "public-key", "procedures", "topics"])
        let before = faults.filter { !$0.isOutside }.count
        let role = text(section, "role") ?? "guest"
        let roles = ["owner", "operator", "viewer", "guest"]
        if !roles.contains(role) {
            fault(section, "role", "\"\(visible(role))\" is no role: \(roles.joined(separator: ", ")).")
        }
        var proof: Configuration.Worker.Proof?
        switch (section.values["secret-file"], section.values["public-key"]) {
        case (.some, .some):
            fault(section, "public-key", "give either this or `secret-file`; a worker has one way to prove who it is.")
        case (nil, nil):
            fault(
                section.path,
                "A worker needs `secret-file`, a file that it and the controller know (wampcra), or `public-key`, 64 hex "
                    + "digits of its ed25519 key (cryptosign)."
            )
        case (.some, nil): proof = sharedSecret(section, "secret-file").map { .secretFile($0) }
        case (nil, .some):
            guard let key = text(section, "public-key") else { break }
            if key.utf8.count == 64, key.allSatisfy(\.isHexDigit) {
                proof = .publicKey(key.lowercased())
            } else {
                fault(section, "public-key", "\"\(visible(key))\" is no ed25519 key: write its 64 hex digits.")
            }
        }
        let procedures = prefixes(section, "procedures", boxes)
        let topics = prefixes(section, "topics", boxes)
        guard faults.filter({ !$0.isOutside }).count == before, let proof else { return nil }
        return Configuration.Worker(name: name, role: role, proof: proof, procedures: procedures, topics: topics)
    }

    /// URI prefixes that are a worker's own.
    mutating func prefixes(_ section: Section, _ key: String, _ boxes: [String]) -> [String] {
        let prefixes = texts(section, key) ?? []
        for prefix in prefixes {
            let parts = prefix.split(separator: ".", omittingEmptySubsequences: false)
            let isURI = !prefix.contains { $0.isWhitespace || $0 == "#" } && !parts.dropLast().contains("")
            if parts.count < 2 || parts.last != "" || !isURI {
                fault(
                    section,
                    key,
                    "\"\(visible(prefix))\" is no prefix of URIs: write it as \"\(Self.ours)\", with its dot."
                )
            } else if parts[0] == "wamp" {
                fault(
                    section,
                    key,
                    "\"\(visible(prefix))\" is the router's own; choose another, such as \"\(Self.ours)\"."
                )
            } else if parts[0] == "farseed", !prefix.hasPrefix(Self.ours) || boxes.contains("worker") {
                fault(
                    section,
                    key,
                    "\"\(visible(prefix))\" is the controller's own; choose one that begins otherwise"
                        + (boxes.contains("worker") ? "." : ", or with \"\(Self.ours)\".")
                )
            }
        }
        return prefixes
    }
}
