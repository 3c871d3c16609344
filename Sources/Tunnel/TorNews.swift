/// What tor says of itself over its control port: how far it is, what it complains of, and which circuit is ours.
package struct TorNews: Sendable, Hashable {
    /// Percent of the bootstrap, 0 to 100.
    package var bootstrap: Int
    /// The phase in tor's words, such as "Loading relay descriptors".
    package var phase: String
    /// Why it does not go on, in tor's words; nil while all is well.
    package var warning: String?
    /// Seconds that our clock is off by, where tor has noticed.
    package var clockSkew: Int?
    /// Such as `0.4.9.11`.
    package var version: String?
    /// Nicknames of the relays of the newest circuit built for each SOCKS password, from the guard on. Ours are random and
    /// each is used once.
    package private(set) var paths: [String: [String]]

    private var circuits: [String: String]

    package init() {
        bootstrap = 0
        phase = "Starting"
        paths = [:]
        circuits = [:]
    }

    /// Circuits remembered; ours are few, and other programs use the same tor.
    private static let mostPaths = 256
    /// Circuits that carry streams; a client's others lead to an introduction point or a directory, with the same words.
    private static let carrying: Set = ["GENERAL", "HS_CLIENT_REND", "CONFLUX_LINKED"]

    /// Takes an event line of `STATUS_CLIENT`, `CIRC` or `CIRC_MINOR`, or an answer's `key=value` line.
    package mutating func received(_ line: String) {
        if line.hasPrefix("STATUS_CLIENT ") {
            status(ControlWords(line.dropFirst("STATUS_CLIENT ".count)))
        } else if line.hasPrefix("status/bootstrap-phase=") {
            status(ControlWords(line.dropFirst("status/bootstrap-phase=".count)))
        } else if line.hasPrefix("CIRC ") {
            circuit(ControlWords(line.dropFirst("CIRC ".count)))
        } else if line.hasPrefix("CIRC_MINOR ") {
            circuit(ControlWords(line.dropFirst("CIRC_MINOR ".count)))
        } else if line.hasPrefix("circuit-status=") {
            for row in line.dropFirst("circuit-status=".count).split(separator: "\n") { circuit(ControlWords(row)) }
        } else if line.hasPrefix("version=") {
            version = line.dropFirst("version=".count).split(separator: " ").first.map(String.init)
        }
    }

    /// `NOTICE BOOTSTRAP PROGRESS=45 TAG=… SUMMARY="…"`, and its like.
    private mutating func status(_ line: ControlWords) {
        switch line.words.dropFirst(1).first {
        case "BOOTSTRAP":
            if let progress = line.pairs["PROGRESS"].flatMap(Int.init) { bootstrap = max(0, min(100, progress)) }
            if let summary = line.pairs["SUMMARY"] { phase = summary }
            warning = line.pairs["WARNING"]
        case "CLOCK_SKEW": clockSkew = line.pairs["SKEW"].flatMap(Int.init)
        case "CIRCUIT_ESTABLISHED":
            warning = nil
            clockSkew = nil
        default: break
        }
    }

    /// `7 BUILT $A~guard,$B~middle PURPOSE=HS_CLIENT_REND SOCKS_USERNAME="…" SOCKS_PASSWORD="…"`, and its like.
    private mutating func circuit(_ line: ControlWords) {
        guard line.words.count >= 2 else { return }
        let (id, state) = (line.words[0], line.words[1])
        switch state {
        // A circuit that tor had in stock is built before it has a password: that comes with its changes of purpose.
        case "BUILT", "PURPOSE_CHANGED":
            guard let password = line.pairs["SOCKS_PASSWORD"], line.words.count >= 3, paths.count < Self.mostPaths,
                Self.carrying.contains(line.pairs["PURPOSE"] ?? "GENERAL")
            else { return }
            // In the pairs of `ControlWords` a path with `$…=nickname` (not named by authorities) does not occur today.
            paths[password] = line.words[2].split(separator: ",").map { relay in
                relay.split(separator: "~").dropFirst().first.map(String.init) ?? String(relay.prefix(9))
            }
            circuits[id] = password
        case "CLOSED", "FAILED":
            if let password = circuits.removeValue(forKey: id), !circuits.values.contains(password) {
                paths[password] = nil
            }
        default: break
        }
    }
}
