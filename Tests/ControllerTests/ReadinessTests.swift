/// What the daemon needs of its machine is looked at while the configuration is read, and each fault has its key.
import Seedbox
import Testing
import Web

@testable import Controller

private func faults(_ text: String, _ readiness: Readiness?) -> [ConfigurationFault] {
    do {
        _ = try ConfigurationReader.read(
            text,
            path: "/etc/farseed/farseed.toml",
            stateDirectory: "/var/lib/farseed",
            surroundings: .init(
                environment: [:],
                home: "/home/me",
                look: { $0.hasSuffix("missing") ? .missing("no such file") : .file(mode: 0o600) },
                readiness: readiness
            )
        )
        return []
    } catch {
        return error.faults
    }
}

/// A machine where the ports from 9000 on are taken and every file is bad.
private func machine(isServed: Bool = false) -> Readiness {
    Readiness(
        group: { _ in nil },
        secret: { Problem(.configurationInvalid, "\($0) is short.") },
        loginKey: { Problem(.secretUnreadable, "\($0) is no key.") },
        certificate: { .init(ofCertificate: "\($0.certificateFile) is none.", ofKey: "\($0.keyFile) is none.") },
        isServed: { _ in isServed },
        listening: { $1 >= 9000 ? Problem(.portInUse, "another program has \($0) port \($1).") : nil }
    )
}

@Suite struct ReadinessTests {
    private let three = """
        [web]
        listen = "127.0.0.1:9001"
        onion-listen = "127.0.0.1:8081"
        [ingest]
        listen = "127.0.0.1:9002"
        topics = ["com.example."]
        """

    @Test func `each address in use is a fault of its own line, under its own code`() {
        let found = faults(three, machine())
        #expect(found.map(\.line) == [2, 5])
        #expect(found.map(\.code) == [.portInUse, .portInUse])
        #expect(ConfigurationFaults(faults: found).code == .portInUse)
    }

    @Test func `the running daemon's own addresses are no fault, nor anybody's for other commands`() {
        #expect(faults(three, machine(isServed: true)) == [])
        #expect(faults(three, nil) == [])
    }

    @Test func `the address that nobody wrote is looked at too`() {
        var machine = machine()
        machine.listening = { $1 == 8080 ? Problem(.portInUse, "taken") : nil }
        #expect(faults("", machine).map(\.message) == ["[web] `listen`: taken"])
        #expect(faults("[web]\nlisten = \"nowhere\"", machine).count == 1)
    }

    @Test(arguments: [
        ("127.0.0.1:8081", "127.0.0.1:8081", true), ("0.0.0.0:8081", "127.0.0.1:8081", true),
        ("[::]:8081", "127.0.0.1:8081", true), ("127.0.0.2:8081", "127.0.0.1:8081", false),
        ("127.0.0.1:8081", "127.0.0.1:8082", false), ("127.0.0.1:0", "127.0.0.1:0", false),
    ])
    func `two doors with one address are a fault without a look at the machine`(
        page: String,
        onion: String,
        isFault: Bool
    ) {
        let found = faults("[web]\nlisten = \"\(page)\"\nonion-listen = \"\(onion)\"", nil)
        #expect(found.map(\.line) == (isFault ? [3] : []))
    }

    @Test func `what a file holds is told of each that can be read`() {
        let text = """
            [web]
            certificate = "chain"
            certificate-key = "missing"
            metrics-token-file = "token"
            [worker.one]
            secret-file = "missing"
            """
        let missing =
            "/etc/farseed/missing cannot be read: no such file. Correct this line's path, or put the file there and give "
            + "it to the user that runs farseed; `ls -l /etc/farseed/missing` tells whose it is."
        let found = faults(text, machine())
        #expect(
            found.map(\.message) == [
                "[web] `certificate`: /etc/farseed/chain is none.",
                "[web] `certificate-key`: \(missing)",
                "[web] `metrics-token-file`: /etc/farseed/token is short.",
                "[worker.one] `secret-file`: \(missing)",
            ]
        )
        #expect(found.map(\.line) == [2, 3, 4, 6])
    }
}
