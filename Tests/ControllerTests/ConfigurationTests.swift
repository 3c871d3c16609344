/// The configuration: what a document means, and that every fault in one is named at once with its line.
import Foundation
import Seedbox
import Store
import Testing
import Tunnel

@testable import Controller

private let hostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g home"
private let onion = "2gzyxa5ihm7nsggfxnu52rck2vv4rvmdlkiu3zzui5du4xyclen53wid.onion"

private func read(
    _ text: String,
    look: @escaping @Sendable (String) -> FileLook = { _ in .file(mode: 0o600) },
    accept: Bool = false
) throws -> Configuration {
    try ConfigurationReader.read(
        text,
        path: "/etc/farseed/farseed.toml",
        stateDirectory: "/var/lib/farseed",
        surroundings: .init(environment: [:], home: "/home/me", look: look),
        acceptMissingFiles: accept
    )
}

private func faults(
    _ text: String,
    look: @escaping @Sendable (String) -> FileLook = { _ in .file(mode: 0o600) }
) -> [ConfigurationFault] {
    do {
        _ = try read(text, look: look)
        return []
    } catch let faults as ConfigurationFaults {
        return faults.faults
    } catch {
        return []
    }
}

private let box = """
    [box.vps]
    address = "\(onion)"
    user = "seedbox"
    key = "id"
    host-key = "\(hostKey)"
    """

@Suite struct ConfigurationTests {
    @Test func `a whole document is read`() throws {
        let configuration = try read(
            """
            state-directory = "~/state"
            [control]
            socket = "/run/farseed/control.sock"
            group = "seed"
            owner = "root"
            operator = ["@root", "4321"]
            [web]
            listen = "[::1]:8443"
            allowed-hosts = ["seed.example"]
            allowed-origins = ["https://seed.example"]
            certificate = "cert.pem"
            certificate-key = "/etc/farseed/key.pem"
            trusted-proxies = ["127.0.0.1", "::1"]
            onion-listen = "127.0.0.1:8081"
            metrics-token-file = "metrics.token"
            wamp-v1 = true
            wamp-sequential = true
            open-topics = ["com.example."]
            [tor]
            socks = "unix:/run/tor/socks"
            control = "127.0.0.1:9051"
            [link]
            probe-after = 2.5
            suspect-after = 5
            dead-after = 45
            standby = true
            recycle-after = 64
            [box.vps]
            addresses = ["\(onion)", "vps.test"]
            port = 2222
            user = "seedbox"
            key = "~/.ssh/farseed"
            host-key = ["\(hostKey)"]
            client-auth = "vps.auth_private"
            """
        )
        #expect(configuration.stateDirectory == "/home/me/state")
        #expect(configuration.controlSocket == "/run/farseed/control.sock")
        #expect(configuration.control.group == "seed")
        #expect(
            configuration.control.grants == [
                .init(account: .user(0), role: .owner), .init(account: .group(0), role: .operator),
                .init(account: .user(4321), role: .operator),
            ]
        )
        #expect(configuration.web.host == "::1")
        #expect(configuration.web.port == 8443)
        #expect(configuration.web.certificate == "/etc/farseed/cert.pem")
        #expect(configuration.web.onionListen == .tcp(host: "127.0.0.1", port: 8081))
        #expect(configuration.web.metricsTokenFile == "/etc/farseed/metrics.token")
        #expect(configuration.web.servesLegacy && configuration.web.demandsSequentialRequests)
        #expect(configuration.web.openTopics == ["com.example."])
        #expect(configuration.tor.socks == .unix(path: "/run/tor/socks"))
        #expect(configuration.tor.control == .tcp(host: "127.0.0.1", port: 9051))
        #expect(configuration.link.probeAfter == .milliseconds(2500))
        #expect(configuration.link.suspectAfter == .seconds(5) && configuration.link.deadAfter == .seconds(45))
        #expect(configuration.link.standby && configuration.link.recycleAfter == 64 << 20)
        let box = try #require(configuration.boxes.first)
        #expect(box.name == "vps")
        #expect(box.addresses == [onion, "vps.test"])
        #expect(box.port == 2222)
        #expect(box.key == "/home/me/.ssh/farseed")
        #expect(box.clientAuth == "/etc/farseed/vps.auth_private")
    }

    @Test func `every number of the link can be set, and is used`() throws {
        let configuration = try read(
            """
            [link]
            probe-after = 1.5
            suspect-after = 2
            suspect-factor = 3
            dead-after = 4
            dead-factor = 5
            retry-at-least = 0.6
            retry-at-most = 7
            retry-fault = 8
            spacing = 0.9
            rival-after = 10
            connect-within = 11
            greet-within = 12
            standby = true
            recycle-after = 13
            [box.vps]
            address = "\(onion)"
            user = "seedbox"
            key = "~/.ssh/farseed"
            host-key = "\(hostKey)"
            """
        )
        let timing = TunnelSetup.box(configuration.boxes[0], configuration, epoch: nil).timing
        var wanted = LinkTiming()
        wanted.pingEvery = .milliseconds(1_500)
        wanted.suspectAfter = .seconds(2)
        wanted.suspectFactor = 3
        wanted.deadAfter = .seconds(4)
        wanted.deadFactor = 5
        wanted.retryFirst = .milliseconds(600)
        wanted.retryLast = .seconds(7)
        wanted.retryFault = .seconds(8)
        wanted.spacing = .milliseconds(900)
        wanted.hedgeAfter = .seconds(10)
        wanted.socks = .seconds(11)
        wanted.greeting = .seconds(12)
        wanted.standby = true
        wanted.recycleAfter = 13 << 20
        #expect(timing == wanted)
    }

    @Test func `numbers of the link that do not go together are named`() {
        for (text, key) in [
            ("suspect-factor = 8", "suspect-factor"), ("dead-factor = 4", "dead-factor"),
            ("retry-at-least = 61", "retry-at-least"), ("spacing = 0.3", "spacing"),
        ] {
            let found = faults("[link]\n\(text)")
            #expect(found.count == 1 && found.first?.line == 2, "\(text): \(found)")
            #expect(found.first?.message.contains(key) == true, "\(text): \(found)")
        }
        #expect(faults("[link]\nspacing = 0.3").first?.message.contains("from 0.4 to 60") == true)
    }

    @Test func `roles are for users that there are, and for a socket that they can open`() {
        let found = faults(
            """
            [control]
            viewer = ["root", "nobody by that name"]
            """
        )
        #expect(found.map(\.line) == [1, 2])
        #expect(found.first?.message.contains("`group`") == true)
        #expect(found.last?.message.contains("no user or group \"nobody by that name\"") == true)
    }

    @Test func `an empty document is the defaults`() throws {
        let configuration = try read("")
        #expect(configuration.web.host == "127.0.0.1")
        #expect(configuration.web.port == 8080)
        #expect(configuration.tor.socks == nil)
        #expect(configuration.controlSocket == "/var/lib/farseed/control.sock")
        #expect(configuration.boxes.isEmpty)
    }

    @Test(arguments: ["0.0.0.0:8081", "192.0.2.1:8081", "unix:/run/onion", "127.example:1", "8081"])
    func `tor's clients are taken from loopback alone`(_ address: String) {
        let found = faults("[web]\nonion-listen = \"\(address)\"")
        #expect(found.count == 1 && found.first?.message.contains("onion-listen") == true, "\(found)")
    }

    @Test func `every fault is named at once, with its line`() {
        let found = faults(
            """
            stat-directory = "/x"
            [web]
            listen = 8080
            # a comment with [box.x]
            allowed-origins = [
                "https://ok.example",
                "https://bad.example/path",
            ]
            [tor]
            sock = "127.0.0.1:9050"
            [box.VPS]
            address = "x"
            [box.vps]
            user = "-oProxyCommand"
            port = 70000
            """
        )
        #expect(found.map(\.line) == [1, 3, 5, 10, 11, 13, 13, 13, 14, 15])
        #expect(found[0].message.contains("Did you mean `state-directory`?"))
        #expect(found[1].message.contains("text in quotes"))
        #expect(found[3].message.contains("Did you mean `socks`?"))
        #expect(found[9].message.contains("1 to 65535"))
    }

    @Test(arguments: [
        ("host-key = \"ssh-rsa AAAA\"", "only ssh-ed25519"),
        ("host-key = \"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEC\"", "damaged"),
        ("host-key = \"AAAA\"", "no host key"),
        ("address = \"\(onion.dropFirst())\"", "there must be 56"),
        ("address = \"\(onion.replacing("2gzy", with: "2gzz"))\"", "checksum"),
        ("address = \"\(onion.replacing("2gzy", with: "2gz1"))\"", "only a to z and 2 to 7"),
        ("address = \"expyuzz4wqqyqhjn.onion\"", "version 2"),
        ("address = \"vps.test:22\"", "has a port"),
        ("address = \"user@vps.test\"", "no address"),
        ("user = \"a b\"", "no login name"),
        ("colour = 1", "unknown key"),
    ])
    func `a bad value says what is allowed`(line: String, words: String) {
        let key = line.split(separator: " ")[0]
        var text = box.split(separator: "\n").filter { !$0.hasPrefix(key + " ") }.map(String.init)
        text.append(line)
        let found = faults(text.joined(separator: "\n"))
        #expect(found.count == 1)
        #expect(found.first?.message.contains(words) == true, "\(found)")
        #expect(found.first?.line == text.count)
    }

    @Test func `text that is not TOML is told with its line`() {
        let found = faults("[web]\nlisten = \n")
        #expect(found.count == 1)
        #expect(found.first?.line == 2)
    }

    @Test func `a secret that others may read is told with the command that mends it`() throws {
        let found = faults(box) { _ in .file(mode: 0o644) }
        #expect(found.count == 1)
        #expect(found.first?.message.contains("chmod 600 /etc/farseed/id") == true)
        #expect(ConfigurationFaults(faults: found).problem.code == .secretUnreadable)
        // A command that goes through the daemon needs no secret.
        let configuration = try read(box, look: { _ in .missing("permission denied") }, accept: true)
        #expect(configuration.boxes.count == 1)
    }

    @Test(
        arguments: [
            ("given.toml", ["FARSEED_CONFIG": "/e.toml"], "given.toml"),
            (nil, ["FARSEED_CONFIG": "/e.toml", "HOME": "/h"], "/e.toml"),
            (nil, ["XDG_CONFIG_HOME": "/x", "HOME": "/h"], "/x/farseed/farseed.toml"),
            (nil, ["HOME": "/h"], "/h/.config/farseed/farseed.toml"),
            (nil, [:], "/etc/farseed/farseed.toml"),
        ] as [(String?, [String: String], String)]
    )
    func `the file is looked for where it is documented`(
        option: String?,
        environment: [String: String],
        expected: String
    ) {
        #expect(ConfigurationFile.path(option: option, environment: environment) { _ in true } == expected)
    }

    @Test(
        arguments: [
            (nil, ["STATE_DIRECTORY": "/s", "HOME": "/h"], "/s"),
            ("/etc/farseed/farseed.toml", ["XDG_STATE_HOME": "/x"], "/var/lib/farseed"),
            (nil, ["XDG_STATE_HOME": "/x", "HOME": "/h"], "/x/farseed"),
            ("/h/.config/farseed/farseed.toml", ["HOME": "/h"], "/h/.local/state/farseed"),
            (nil, [:], "/var/lib/farseed"),
        ] as [(String?, [String: String], String)]
    )
    func `the state is where it is documented`(path: String?, environment: [String: String], expected: String) {
        #expect(ConfigurationFile.stateDirectory(configuration: path, environment: environment) == expected)
    }

    @Test func `lines are found past strings, arrays and comments`() {
        let lines = TOMLLines(
            #"""
            a = """
            b = 1
            """
            c = [ # ]
              "]", '''
            d = 2
            ''',
            ]
            "quoted key" = 3
            [table."with.dot"]
            e.f = 4
            [[list]]
            g = {h = 5}
            """#
        )
        #expect(lines[["a"]] == 1)
        #expect(lines[["b"]] == nil)
        #expect(lines[["c"]] == 4)
        #expect(lines[["d"]] == nil)
        #expect(lines[["quoted key"]] == 9)
        #expect(lines[["table", "with.dot", "e", "f"]] == 11)
        #expect(lines[["list", "g"]] == 13)
        #expect(lines[["list", "none"]] == 12)
    }

    @Test func `SHA3-256 gives the known answers`() {
        func hex(_ text: String) -> String {
            Keccak.sha3of256(Array(text.utf8)).map { String(format: "%02x", $0) }.joined()
        }
        #expect(hex("") == "a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a")
        #expect(hex("abc") == "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532")
        #expect(
            hex(String(repeating: "a", count: 200))
                == "cce34485baf2bf2aca99b94833892a4f52896d3d153f7b840cc4f9fe695f1387"
        )
    }
}
