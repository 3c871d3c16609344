import Testing

@testable import Agent

@Suite struct AgentCommandTests {
    @Test(arguments: [
        (["gate", "--role", "control"], AgentCommand.gate(.control, configuration: nil)),
        (["gate", "--role", "read", "--config", "/a"], .gate(.read, configuration: "/a")),
        (["serve"], .serve(.control, configuration: nil)),
        (["serve", "--role", "bulk"], .serve(.bulk, configuration: nil)),
        (["authorize", "--role", "read"], .authorize(.read, configuration: nil, program: nil)),
        (["authorize", "--role", "read", "--program", "/a"], .authorize(.read, configuration: nil, program: "/a")),
        (["version"], .version),
        (["--help"], .help), (["check"], .check(configuration: nil)),
    ])
    func `commands are read`(_ arguments: [String], _ command: AgentCommand) throws {
        #expect(try AgentCommand(arguments) == command)
    }

    @Test(arguments: [
        [], ["gate"], ["gate", "--role"], ["gate", "--role", "admin"], ["gate", "--role", "read", "--role", "control"],
        ["serve", "--config", "relative"], ["serve", "extra"], ["authorize"], ["nonsense"], ["gate", "-r", "read"],
        ["gate", "--role", "read", "--program", "/a"], ["authorize", "--role", "read", "--program", "a"],
    ])
    func `misuse is told in a sentence`(_ arguments: [String]) {
        let misuse = #expect(throws: AgentCommand.Misuse.self) { try AgentCommand(arguments) }
        #expect(misuse?.message.hasSuffix(".") == true)
    }

    private static let key = "AAAAC3NzaC1lZDI1NTE5AAAAIJk1mNzC2yNLAWcMqpwH1LlAcIjbZz3p6V5vXgaKFQJr"

    @Test func `authorize makes the line`() throws {
        let line = try Authorization.line(
            key: "ssh-ed25519 \(Self.key) me@home \"; rm -rf /\"\n",
            role: .read,
            program: "/usr/local/bin/farseed-agent",
            configuration: "/etc/farseed/agent.conf"
        )
        #expect(
            line
                == "restrict,command=\"/usr/local/bin/farseed-agent gate --role read --config /etc/farseed/agent.conf\" "
                + "ssh-ed25519 \(Self.key) me@home__rm_-rf_/"
        )
    }

    @Test(arguments: [
        "", "ssh-rsa AAAAB3NzaC1yc2EAAAA x", "ssh-ed25519", "ssh-ed25519 short", "-----BEGIN OPENSSH PRIVATE KEY-----",
        "ssh-ed25519 \(key)\nssh-ed25519 \(key)", "command=\"x\" ssh-ed25519 \(key)", "ssh-ed25519 \(key)\"",
    ])
    func `what is no single public key is refused`(_ key: String) {
        #expect(throws: Authorization.Refusal.self) {
            try Authorization.line(key: key, role: .control, program: "/a", configuration: nil)
        }
    }

    @Test(arguments: ["relative", "/with space", "/quote\"", "/$(x)", "/a\n", ""])
    func `a path that a shell would read otherwise is refused`(_ path: String) {
        #expect(throws: Authorization.Refusal.self) {
            try Authorization.line(key: "ssh-ed25519 \(Self.key)", role: .control, program: path, configuration: nil)
        }
    }

    @Test func `the read role watches and changes nothing`() {
        for procedure in ["watch", "status", "pace"] { #expect(Role.read.permits(procedure)) }
        for procedure in ["exec", "torrent.start", "torrent.get", "session.set", "bulk.read", "", "watch "] {
            #expect(!Role.read.permits(procedure))
        }
        for procedure in ["exec", "bulk.read", "pace"] { #expect(!Role.bulk.permits(procedure)) }
        #expect(Role.bulk.permits("status"))
        #expect(!Role.bulk.permits("watch"))
        #expect(Role.control.permits("exec"))
    }
}
