/// What tor says of itself over its control port: how far it is, what it complains of, and which circuit is ours.
package struct TorNews: Sendable, Hashable {
    /// How far tor is with the descriptor of an onion service that somebody asked for.
    package enum Descriptor: Sendable, Hashable {
        case requested
        case received
        /// A directory did not have it, or did not answer: tor's word for why. Another may be asked yet.
        case failed(String)
    }

    /// Percent of the bootstrap, 0 to 100.
    package var bootstrap: Int
    /// The phase in tor's words, such as "Loading relay descriptors".
    package var phase: String
    /// Why it does not go on, in tor's words; nil while all is well.
    package var warning: String?
    /// Tor's word for the kind of `warning`, such as `NOROUTE` or `CLOCK_SKEW`.
    package var reason: String?
    /// Seconds that our clock is ahead, or behind where negative, of one that tor trusts; known until the clock is set.
    package var clockSkew: Int?
    /// Such as `0.4.9.11`.
    package var version: String?
    /// Relays of the newest circuit built for each SOCKS password of ours, from the guard on. They are random and each is
    /// used once, but for the one of commands.
    package private(set) var paths: [String: [TorRelay]]
    /// By address, without `.onion`. Tor tells nothing of a descriptor that it has already.
    package private(set) var descriptors: [String: Descriptor]

    /// Tor's word for why the last stream of each SOCKS password of ours failed: `END` where the far end of its circuit
    /// said so, such as `DESTROY` where the circuit broke.
    package private(set) var failures: [String: String]

    /// The passwords of our circuits, by the circuits' numbers.
    private var circuits: [String: String]
    /// Circuits to exits that tor has built for nobody in particular, by their numbers.
    private var stock: [String: [TorRelay]]
    /// By fingerprint; nil of a relay whose country tor does not know.
    private var countries: [String: String?]

    package init() {
        bootstrap = 0
        phase = "Starting"
        paths = [:]
        descriptors = [:]
        failures = [:]
        circuits = [:]
        stock = [:]
        countries = [:]
    }

    /// Circuits remembered, ours and those in stock; they are few.
    private static let mostPaths = 256
    /// Relays of a circuit, descriptors, and countries of relays on no circuit that are remembered.
    private static let mostRelays = 8
    private static let mostDescriptors = 64
    private static let mostFailures = 256
    private static let mostCountries = 1_024
    /// Circuits that carry streams; a client's others lead to an introduction point or a directory, with the same words.
    private static let carrying: Set = ["GENERAL", "HS_CLIENT_REND", "CONFLUX_LINKED"]
    /// How the SOCKS user names of all our streams begin; other programs use the same tor.
    static let username = "farseed-"

    /// Takes an event line, or an answer's `key=value` line.
    package mutating func received(_ line: String) {
        if line.hasPrefix("STATUS_CLIENT ") || line.hasPrefix("STATUS_GENERAL ") {
            status(ControlWords(line.drop { $0 != " " }))
        } else if line.hasPrefix("status/bootstrap-phase=") {
            status(ControlWords(line.dropFirst("status/bootstrap-phase=".count)))
        } else if line.hasPrefix("CIRC ") || line.hasPrefix("CIRC_MINOR ") {
            circuit(ControlWords(line.drop { $0 != " " }))
        } else if line.hasPrefix("circuit-status=") {
            for row in line.dropFirst("circuit-status=".count).split(separator: "\n") { circuit(ControlWords(row)) }
        } else if line.hasPrefix("STREAM ") {
            stream(ControlWords(line.dropFirst("STREAM ".count)))
        } else if line.hasPrefix("HS_DESC ") {
            descriptor(ControlWords(line.dropFirst("HS_DESC ".count)))
        } else if line.hasPrefix("version=") {
            version = TorVersion.read(line.dropFirst("version=".count))
        }
    }

    /// Fingerprints of relays on our circuits whose country has not been asked for.
    package var unplaced: [String] {
        let relays = paths.values.joined().filter { $0.isAskable && countries[$0.fingerprint] == nil }
        return Set(relays.map(\.fingerprint)).sorted()
    }

    /// False while it is still asked where the relays of this password's circuit stand.
    package func isPlaced(_ password: String) -> Bool {
        paths[password]?.allSatisfy { !$0.isAskable || countries[$0.fingerprint] != nil } ?? true
    }

    /// Takes the answer for one of `unplaced`, also that tor does not know.
    package mutating func placed(_ fingerprint: String, in country: String?) {
        if countries.count >= Self.mostCountries {
            let used = Set(paths.values.joined().map(\.fingerprint))
            countries = countries.filter { used.contains($0.key) }
        }
        countries[fingerprint] = .some(country)
        for (password, relays) in paths {
            paths[password] = relays.map { $0.fingerprint == fingerprint ? place($0) : $0 }
        }
    }

    private func place(_ relay: TorRelay) -> TorRelay {
        var relay = relay
        relay.country = countries[relay.fingerprint] ?? nil
        return relay
    }

    /// `NOTICE BOOTSTRAP PROGRESS=45 TAG=… SUMMARY="…"`, and its like.
    private mutating func status(_ line: ControlWords) {
        switch line.words.dropFirst(1).first {
        case "BOOTSTRAP":
            if let progress = line.pairs["PROGRESS"].flatMap(Int.init) { bootstrap = max(0, min(100, progress)) }
            if let summary = line.pairs["SUMMARY"] { phase = summary }
            warning = line.pairs["WARNING"]
            reason = line.pairs["REASON"]
        case "CLOCK_SKEW": clockSkew = (line.pairs["SKEW"] ?? line.pairs["MIN_SKEW"]).flatMap(Int.init)
        // Tor tells of a wrong clock once, and of one that is set as of a jump.
        case "CLOCK_JUMPED": clockSkew = nil
        case "CIRCUIT_ESTABLISHED": (warning, reason) = (nil, nil)
        default: break
        }
    }

    /// `7 BUILT $A~guard,$B~middle PURPOSE=HS_CLIENT_REND SOCKS_USERNAME="…" SOCKS_PASSWORD="…"`, and its like.
    private mutating func circuit(_ line: ControlWords) {
        guard line.words.count >= 2 else { return }
        let (id, state) = (line.words[0], line.words[1])
        switch state {
        // A circuit that tor had in stock is built before it has a password. That comes with its changes of purpose or, of
        // one to an exit, with the stream that it is for.
        case "BUILT", "PURPOSE_CHANGED":
            guard line.words.count >= 3, Self.carrying.contains(line.pairs["PURPOSE"] ?? "GENERAL") else { return }
            // In the pairs of `ControlWords` a path with `$…=nickname` (not named by authorities) does not occur today.
            let relays = line.words[2].split(separator: ",").prefix(Self.mostRelays).map { TorRelay($0) }
            if line.pairs["SOCKS_USERNAME"] == nil {
                if Self.isToExit(line), stock.count < Self.mostPaths { stock[id] = relays }
            } else if let password = Self.password(line) {
                take(id, relays, for: password)
            }
        case "CLOSED", "FAILED":
            stock[id] = nil
            if let password = circuits.removeValue(forKey: id), !circuits.values.contains(password) {
                paths[password] = nil
            }
        default: break
        }
    }

    private mutating func take(_ id: String, _ relays: [TorRelay], for password: String) {
        stock[id] = nil
        guard circuits.count < Self.mostPaths || circuits[id] != nil else { return }
        paths[password] = relays.map { place($0) }
        circuits[id] = password
    }

    private static func isToExit(_ line: ControlWords) -> Bool {
        let flags = (line.pairs["BUILD_FLAGS"] ?? "").split(separator: ",")
        return line.pairs["PURPOSE"] != "HS_CLIENT_REND" && !flags.contains("IS_INTERNAL")
            && !flags.contains("ONEHOP_TUNNEL")
    }

    /// The SOCKS password that a line tells, where it is ours.
    private static func password(_ line: ControlWords) -> String? {
        guard line.pairs["SOCKS_USERNAME"]?.hasPrefix(username) == true else { return nil }
        return line.pairs["SOCKS_PASSWORD"]
    }

    /// `25 FAILED 21 ADDRESS:22 REASON=END REMOTE_REASON=MISC SOCKS_USERNAME="…" SOCKS_PASSWORD="…"`, and its like.
    private mutating func stream(_ line: ControlWords) {
        guard line.words.count >= 2, let password = Self.password(line) else { return }
        switch line.words[1] {
        case "NEW": failures[password] = nil
        case "SENTCONNECT":
            if line.words.count >= 3, let relays = stock[line.words[2]] { take(line.words[2], relays, for: password) }
        case "FAILED":
            if failures.count >= Self.mostFailures { failures = [:] }
            failures[password] = line.pairs["REASON"] ?? ""
        default: break
        }
    }

    /// `RECEIVED ADDRESS AUTH DIRECTORY …` and its like; several directories are asked one after the other.
    private mutating func descriptor(_ line: ControlWords) {
        guard line.words.count >= 2 else { return }
        let address = line.words[1]
        if descriptors[address] == nil, descriptors.count >= Self.mostDescriptors { descriptors = [:] }
        switch line.words[0] {
        case "REQUESTED": descriptors[address] = .requested
        case "RECEIVED": descriptors[address] = .received
        case "FAILED": descriptors[address] = .failed(line.pairs["REASON"] ?? "")
        default: break
        }
    }
}
