/// Turns the text of `farseed.toml` into a `Configuration`, collecting every fault instead of stopping at the first.
import Notation
import Seedbox
import Store
import TOMLKit
import Tunnel
import Web

/// Reads one document; files that it names are looked at through `look`.
struct ConfigurationReader {
    /// Surroundings that a document's meaning depends on.
    struct Surroundings: Sendable {
        var environment: [String: String]
        var home: String?
        var look: @Sendable (String) -> FileLook
        /// Nil where the daemon is not to be started.
        var readiness: Readiness?
    }

    let path: String?
    let surroundings: Surroundings
    let lines: TOMLLines
    var faults: [ConfigurationFault] = []
    /// What the daemon is to listen on, as far as it is well written.
    var doors: [Door] = []

    /// Reads and checks a document; throws `ConfigurationFaults` with all that is wrong.
    ///
    /// A configuration whose only faults are files is still returned by `accept`, for commands that reach a running
    /// daemon and need none of them.
    static func read(
        _ text: String,
        path: String?,
        stateDirectory: String,
        surroundings: Surroundings,
        acceptMissingFiles: Bool = false
    ) throws(ConfigurationFaults) -> Configuration {
        var configuration = Configuration(path: path, stateDirectory: stateDirectory)
        let root: [String: Value]
        do {
            root = try TOMLTable(string: text).entries()
        } catch let error as TOMLParseError {
            let message = "This is not valid TOML: \(visible(error.description)). Mend the line and try again."
            throw ConfigurationFaults(
                faults: [ConfigurationFault(path: path, line: error.source.begin.line, message: message)]
            )
        } catch {
            throw ConfigurationFaults(
                faults: [ConfigurationFault(path: path, message: "This is not valid TOML: \(error).")]
            )
        }
        var reader = ConfigurationReader(path: path, surroundings: surroundings, lines: TOMLLines(text))
        reader.read(root, into: &configuration)
        let faults = reader.faults.sorted { ($0.line ?? 0) < ($1.line ?? 0) }
        if faults.contains(where: { !(acceptMissingFiles && $0.isOutside) }) {
            throw ConfigurationFaults(faults: faults)
        }
        return configuration
    }

    private init(path: String?, surroundings: Surroundings, lines: TOMLLines) {
        self.path = path
        self.surroundings = surroundings
        self.lines = lines
    }

    private mutating func read(_ root: [String: Value], into configuration: inout Configuration) {
        let root = Section(path: [], values: root)
        know(root, ["state-directory", "control", "web", "tor", "link", "box", "worker", "ingest"])
        if let directory = file(root, "state-directory") { configuration.stateDirectory = directory }
        read(control: section(root, "control"), into: &configuration.control)
        if Configuration.Control().socket == configuration.control.socket,
            configuration.controlSocket.utf8.count > SocketAddressText.longestUnixPath
        {
            fault(
                [],
                "The control socket's path \(visible(configuration.controlSocket)) is longer than "
                    + "\(SocketAddressText.longestUnixPath) bytes. Set `socket` in [control] to a shorter one."
            )
        }
        let web = section(root, "web")
        read(web: web, into: &configuration.web)
        read(tor: section(root, "tor"), into: &configuration.tor)
        read(link: section(root, "link"), into: &configuration.link)
        read(boxes: section(root, "box"), into: &configuration)
        read(workers: section(root, "worker"), into: &configuration)
        if let web { configuration.web.openTopics = prefixes(web, "open-topics", configuration.boxes.map(\.name)) }
        read(ingest: section(root, "ingest"), into: &configuration)
        check(doors, of: configuration)
    }

    // MARK: Sections

    private mutating func read(boxes: Section?, into configuration: inout Configuration) {
        guard let boxes else { return }
        for name in boxes.values.keys.sorted() {
            guard Self.isBoxName(name) else {
                fault(
                    ["box", name],
                    "The seedbox's name \"\(visible(name))\" is not allowed: use 1 to 32 lower-case letters, digits "
                        + "and `_`, beginning with a letter."
                )
                continue
            }
            guard let section = section(boxes, name) else { continue }
            if let box = box(name, section) { configuration.boxes.append(box) }
        }
    }

    private mutating func read(control: Section?, into target: inout Configuration.Control) {
        guard let control else { return }
        know(control, ["socket", "group"] + Self.localRoles.map(\.rawValue))
        if let socket = file(control, "socket") {
            if socket.utf8.count > SocketAddressText.longestUnixPath {
                let longest = SocketAddressText.longestUnixPath
                fault(control.path + ["socket"], "`socket` is longer than \(longest) bytes. Choose a shorter path.")
            }
            target.socket = socket
        }
        target.group = text(control, "group")
        if let group = target.group, let problem = surroundings.readiness?.group(group) {
            fault(control, "group", problem.message)
        }
        for role in Self.localRoles {
            for name in texts(control, role.rawValue) ?? [] {
                if let account = LocalAccount(name) {
                    target.grants.append(.init(account: account, role: role))
                } else {
                    fault(
                        control,
                        role.rawValue,
                        "this machine has no user or group \"\(visible(name))\": write a login name, or a group as "
                            + "\"@media\"."
                    )
                }
            }
        }
        if !target.grants.isEmpty, control.values["group"] == nil {
            fault(
                control.path,
                "roles are of no use without `group`, whose members may open the socket. Name a group."
            )
        }
    }

    /// What a user of this machine may be.
    private static let localRoles: [AccountRole] = [.owner, .operator, .viewer]

    private mutating func read(web: Section?, into target: inout Configuration.Web) {
        let web = web ?? Section(path: ["web"], values: [:])
        know(
            web,
            [
                "listen", "allowed-hosts", "allowed-origins", "certificate", "certificate-key", "trusted-proxies",
                "onion-listen", "metrics-token-file", "wamp-v1", "wamp-sequential", "open-topics",
            ]
        )
        if let listen = text(web, "listen") {
            if case .tcp(let host, let port) = SocketAddressText(listen) {
                target.host = host
                target.port = port
                doors.append(Door(section: web, key: "listen", host: host, port: port))
            } else {
                fault(web, "listen", "\"\(visible(listen))\" is no address: write it as \"127.0.0.1:8080\".")
            }
        } else if web.values["listen"] == nil {
            doors.append(Door(section: web, key: "listen", host: target.host, port: target.port))
        }
        target.allowedHosts = texts(web, "allowed-hosts") ?? []
        for host in target.allowedHosts where host.isEmpty || host.contains(where: { "/ \t".contains($0) }) {
            fault(web, "allowed-hosts", "\"\(visible(host))\" is no host name: write it as \"seed.example\".")
        }
        target.allowedOrigins = texts(web, "allowed-origins") ?? []
        for origin in target.allowedOrigins where !Self.isOrigin(origin) {
            fault(
                web,
                "allowed-origins",
                "\"\(visible(origin))\" is no origin: write scheme, host and port only, as \"https://seed.example\"."
            )
        }
        target.trustedProxies = texts(web, "trusted-proxies") ?? []
        for proxy in target.trustedProxies where !Self.isNumericAddress(proxy) {
            fault(web, "trusted-proxies", "\"\(visible(proxy))\" is no numeric address: write it as \"127.0.0.1\".")
        }
        if let listen = text(web, "onion-listen") {
            if let address = SocketAddressText(listen), case .tcp(let host, let port) = address, Self.isLoopback(host) {
                target.onionListen = address
                doors.append(Door(section: web, key: "onion-listen", host: host, port: port))
            } else {
                fault(
                    web,
                    "onion-listen",
                    "\"\(visible(listen))\" is no address of loopback: write it as \"127.0.0.1:8081\"."
                )
            }
        }
        target.metricsTokenFile = sharedSecret(web, "metrics-token-file")
        target.servesLegacy = flag(web, "wamp-v1") ?? target.servesLegacy
        target.demandsSequentialRequests = flag(web, "wamp-sequential") ?? target.demandsSequentialRequests
        target.certificate = existing(web, "certificate")
        target.certificateKey = secret(web, "certificate-key")
        if (target.certificate == nil) != (target.certificateKey == nil),
            web.values["certificate"] == nil || web.values["certificate-key"] == nil
        {
            fault(web.path, "`certificate` and `certificate-key` belong together: give both, or neither.")
        }
        if let certificate = target.certificate, let key = target.certificateKey, let readiness = surroundings.readiness
        {
            let found = readiness.certificate(.init(certificateFile: certificate, keyFile: key))
            // Of a file that cannot be read that has been said.
            if let reason = found.ofCertificate, isReadable(certificate) { fault(web, "certificate", reason) }
            if let reason = found.ofKey, isReadable(key) { fault(web, "certificate-key", reason) }
        }
    }

    private mutating func read(tor: Section?, into target: inout Configuration.Tor) {
        guard let tor else { return }
        know(tor, ["socks", "control", "control-password-file", "binary", "include"])
        target.socks = address(tor, "socks", example: "127.0.0.1:9050")
        target.control = address(tor, "control", example: "127.0.0.1:9051")
        target.controlPasswordFile = secret(tor, "control-password-file")
        target.binary = program(tor, "binary")
        target.include = existing(tor, "include")
        if tor.values["socks"] == nil {
            for key in ["control", "control-password-file"] where tor.values[key] != nil {
                fault(tor, key, "this is for a tor given by `socks`; the own tor child has its own. Leave it out.")
            }
        } else {
            for key in ["binary", "include"] where tor.values[key] != nil {
                fault(
                    tor,
                    key,
                    "this is for the own tor child, which does not run where `socks` is given. Leave it out."
                )
            }
        }
    }

    private mutating func read(link: Section?, into target: inout Configuration.LinkTiming) {
        guard let link else { return }
        know(
            link,
            [
                "probe-after", "suspect-after", "suspect-factor", "dead-after", "dead-factor", "retry-at-least",
                "retry-at-most", "retry-fault", "spacing", "rival-after", "connect-within", "greet-within", "standby",
                "recycle-after", "compression",
            ]
        )
        target.probeAfter = seconds(link, "probe-after", 1...3_600)
        target.suspectAfter = seconds(link, "suspect-after", 1...3_600)
        target.deadAfter = seconds(link, "dead-after", 1...3_600)
        target.suspectFactor = integer(link, "suspect-factor", 1...100).map { Int($0) }
        target.deadFactor = integer(link, "dead-factor", 2...1_000).map { Int($0) }
        target.retryAtLeast = seconds(link, "retry-at-least", 0.1...3_600)
        target.retryAtMost = seconds(link, "retry-at-most", 1...3_600)
        target.retryFault = seconds(link, "retry-fault", 1...3_600)
        // A guard refuses clients that make more than three circuits a second.
        target.spacing = seconds(link, "spacing", 0.4...60)
        target.rivalAfter = seconds(link, "rival-after", 1...600)
        target.connectWithin = seconds(link, "connect-within", 5...600)
        target.greetWithin = seconds(link, "greet-within", 5...600)
        target.standby = flag(link, "standby") ?? target.standby
        target.recycleAfter = integer(link, "recycle-after", 1...512).map { UInt64($0) << 20 }
        target.compression = flag(link, "compression") ?? target.compression
        if let probe = target.probeAfter, let dead = target.deadAfter, probe >= dead {
            fault(
                link,
                "dead-after",
                "a link must count as dead only after it was probed: give more than `probe-after`."
            )
        }
        if let suspect = target.suspectAfter, let dead = target.deadAfter, suspect >= dead {
            fault(
                link,
                "suspect-after",
                "a second session must have time before the first counts as dead: give less than `dead-after`."
            )
        }
        let usual = LinkTiming()
        if target.suspectFactor ?? usual.suspectFactor >= target.deadFactor ?? usual.deadFactor {
            fault(
                link,
                target.suspectFactor == nil ? "dead-factor" : "suspect-factor",
                "a second session must have time before the first counts as dead: `suspect-factor` (usually "
                    + "\(usual.suspectFactor)) is to be less than `dead-factor` (usually \(usual.deadFactor))."
            )
        }
        if target.retryAtLeast ?? usual.retryFirst > target.retryAtMost ?? usual.retryLast {
            fault(link, "retry-at-least", "the first pause cannot be longer than `retry-at-most`. Give less.")
        }
    }

    private mutating func box(_ name: String, _ section: Section) -> Configuration.Box? {
        let before = faults.filter { !$0.isOutside }.count
        know(section, ["address", "addresses", "port", "user", "key", "host-key", "client-auth"])
        var addresses = texts(section, "addresses") ?? []
        if let address = text(section, "address") { addresses.insert(address, at: 0) }
        if section.values["address"] == nil, section.values["addresses"] == nil {
            fault(section.path, "`address` is missing: the seedbox's onion address, as \"….onion\".")
        } else if addresses.isEmpty, section.values["addresses"]?.array?.isEmpty == true {
            fault(section, "addresses", "give at least one address.")
        }
        for address in addresses {
            if let problem = AddressText.fault(in: address) {
                fault(section, section.values["addresses"] == nil ? "address" : "addresses", problem)
            }
        }
        let port = integer(section, "port", 1...65_535) ?? 22
        let user = text(section, "user", needed: "the login name on the seedbox, as \"seedbox\".") ?? ""
        if !user.isEmpty, !Self.isUserName(user) {
            fault(section, "user", "\"\(visible(user))\" is no login name.")
        }
        let key = secret(
            section,
            "key",
            needed: "the file of the ed25519 private key that logs in there.",
            sound: surroundings.readiness?.loginKey
        )
        var hostKeys: [String] = []
        if section.values["host-key"] == nil {
            fault(
                section.path,
                "`host-key` is missing: on the seedbox, `cat /etc/ssh/ssh_host_ed25519_key.pub` prints it. "
                    + "It is what proves that the machine is yours."
            )
        } else {
            hostKeys = texts(section, "host-key") ?? []
            for key in hostKeys {
                if let problem = HostKeyText.fault(in: key) { fault(section, "host-key", problem) }
            }
        }
        let clientAuth = secret(section, "client-auth")
        guard faults.filter({ !$0.isOutside }).count == before else { return nil }
        return Configuration.Box(
            name: name,
            addresses: addresses,
            port: Int(port),
            user: user,
            key: key ?? "",
            hostKeys: hostKeys,
            clientAuth: clientAuth
        )
    }
}
