import Testing
import Transmission

@testable import Agent

@Suite struct AgentConfigurationTests {
    @Test func `nothing at all is a configuration`() throws {
        #expect(try AgentConfiguration(parsing: "") == AgentConfiguration())
        #expect(try AgentConfiguration(parsing: "# comment\n\n   \t\n#rpc-url x") == AgentConfiguration())
    }

    @Test func `every keyword is read`() throws {
        let configuration = try AgentConfiguration(
            parsing: """
                rpc-url http://127.0.0.1:9191/t/rpc
                rpc-any-address no
                rpc-auth-file /etc/farseed/rpc
                state-directory /var/lib/agent\r
                transmission-remote /opt/bin/transmission-remote
                allow-exec /usr/bin/df
                allow-exec /usr/bin/du -sh /srv/*
                \texec-time-limit 30
                exec-output-limit 1M
                exec-environment TZ=Europe/Berlin
                exec-environment LANG=de_DE.UTF-8
                disk-reserve 5G
                disk-guard yes
                unwatched-interval 30
                time-lapse 60
                resident no
                log-level debug
                """
        )
        #expect(configuration.rpc.authority == "127.0.0.1:9191")
        #expect(configuration.rpcAuthFile == "/etc/farseed/rpc")
        #expect(configuration.stateDirectory == "/var/lib/agent")
        #expect(configuration.transmissionRemote == "/opt/bin/transmission-remote")
        #expect(
            configuration.allowedPrograms == [
                .init(path: "/usr/bin/df", patterns: nil), .init(path: "/usr/bin/du", patterns: ["-sh", "/srv/*"]),
            ]
        )
        #expect(configuration.exec.time == 30)
        #expect(configuration.exec.output == 1 << 20)
        #expect(
            configuration.exec.environment.entries(for: nil) == [
                "LANG=de_DE.UTF-8", "PATH=/usr/bin:/bin", "TZ=Europe/Berlin",
            ]
        )
        #expect(configuration.disk == .init(reserve: 5 << 30, pauses: true))
        #expect(configuration.unwatchedInterval == 30)
        #expect(configuration.timeLapse == 60)
        #expect(configuration.isResident == false)
        #expect(configuration.logLevel == "debug")
    }

    @Test(arguments: [
        "disk-guard true", "disk-guard = true", "disk-guard=true", "\tdisk-guard  =true ", "disk-guard= on",
    ])
    func `an equals sign may stand between keyword and value`(_ line: String) throws {
        #expect(try AgentConfiguration(parsing: line).disk.pauses)
        for wrong in ["disk-guard", "disk-guard =", "disk-guard == true", "disk-guard = = true", "= true"] {
            #expect(throws: ConfigurationFaults.self) { try AgentConfiguration(parsing: wrong) }
        }
    }

    @Test func `an equals sign of the value is left to it`() throws {
        for line in ["exec-environment A=b=c", "exec-environment = A=b=c", "exec-environment=A=b=c"] {
            #expect(try AgentConfiguration(parsing: line).exec.environment.variables["A"] == "b=c")
        }
        let program = AgentConfiguration.AllowedProgram(path: "/bin/x", patterns: ["=", "a=b"])
        #expect(try AgentConfiguration(parsing: "allow-exec = /bin/x = a=b").allowedPrograms == [program])
    }

    @Test(arguments: [
        ("127.0.0.1", true), ("127.255.0.9:81", true), ("localhost", true), ("[::1]", true),
        ("[0:0:0:0:0:0:0:1]", true), ("172.17.0.2", false), ("0.0.0.0", false), ("128.0.0.1", false),
        ("[::]", false), ("[fe80::1]", false), ("[::1:0]", false), ("[::ffff:8.8.8.8]", false),
        ("127.1", false), ("1270.0.0.1", false),
    ])
    func `rpc stays on loopback unless another address is allowed`(_ address: String, _ isLoopback: Bool) throws {
        let line = "rpc-url http://\(address)/transmission/rpc"
        for text in ["\n" + line, "rpc-any-address no\n" + line] {
            if isLoopback {
                #expect(try AgentConfiguration(parsing: text).rpc.isLoopback)
            } else {
                let error = #expect(throws: ConfigurationFaults.self) { try AgentConfiguration(parsing: text) }
                #expect(error?.faults.map(\.line) == [2])
                #expect(error?.faults.first?.message.contains("rpc-any-address yes") == true)
            }
        }
        for text in ["\(line)\nrpc-any-address yes", "rpc-any-address yes\n\(line)"] {
            #expect(try AgentConfiguration(parsing: text).rpc.isLoopback == isLoopback)
        }
    }

    @Test func `a password too short to be blotted out of output is refused`() throws {
        let temporary = try TemporaryDirectory()
        for password in ["", "abc", "é!"] {
            let file = try temporary.write("rpc", "me:\(password)\n")
            let refusal = #expect(throws: Account.Refusal.self) { try Account(file: file) }
            #expect(refusal?.message.contains("fewer than 4 bytes") == true)
            #expect(password.isEmpty || refusal?.message.contains(password) == false)
        }
        #expect(try Account(file: try temporary.write("rpc", "me:a:bc\n")) == Account(user: "me", password: "a:bc"))
    }

    @Test(arguments: [
        "TZ", "=x", "tz=x", "1A=x", "A-B=x", "Ä=x", "A\u{0}B=x", "A=\u{1B}[31m", "A=\u{7F}", "PATH=/tmp",
        "LD_PRELOAD=x", "LD_LIBRARY_PATH=x", "LD_AUDIT=x", "GCONV_PATH=x", "GLIBC_TUNABLES=x", "BASH_ENV=x", "ENV=x",
        "IFS=x", "PYTHONPATH=x", "PYTHONSTARTUP=x", "PERL5OPT=x", "HTTPS_PROXY=x", "ALL_PROXY=x",
        "TR_AUTH=me:secret", "A=\(String(repeating: "x", count: 4097))", "\(String(repeating: "A", count: 65))=x",
        "A=two words", "",
    ])
    func `what would make programs do something else is no variable for them`(_ entry: String) {
        let error = #expect(throws: ConfigurationFaults.self) {
            try AgentConfiguration(parsing: "exec-environment \(entry)")
        }
        #expect(error?.faults.first?.message.contains("`exec-environment`") == true)
        #expect(error?.faults.first?.message.contains("secret") == false)
    }

    @Test func `a variable is named once, and there are not too many`() throws {
        #expect(throws: ConfigurationFaults.self) {
            try AgentConfiguration(parsing: "exec-environment A=1\nexec-environment A=2")
        }
        let lines = (0..<64).map { "exec-environment A\($0)=" }
        #expect(try AgentConfiguration(parsing: lines.joined(separator: "\n")).exec.environment.variables.count == 66)
        #expect(throws: ConfigurationFaults.self) {
            try AgentConfiguration(parsing: (lines + ["exec-environment B="]).joined(separator: "\n"))
        }
    }

    @Test func `every fault is told at once, with its line`() throws {
        let error = #expect(throws: ConfigurationFaults.self) {
            try AgentConfiguration(
                parsing: """
                    rpc-url https://example.org
                    nonsense 1
                    state-directory relative
                    disk-guard maybe
                    disk-reserve 5X
                    resident yes
                    resident yes
                    allow-exec df
                    allow-exec /usr/bin/df ... x
                    exec-time-limit 0
                    log-level loud
                    transmission-remote /a/../b
                    rpc-auth-file
                    unwatched-interval 5
                    time-lapse 0
                    """
            )
        }
        // Faults of several lines together come in their place.
        let far = #expect(throws: ConfigurationFaults.self) {
            try AgentConfiguration(parsing: "rpc-url http://10.0.0.1\nnonsense 1")
        }
        #expect(far?.faults.map(\.line) == [1, 2])
        #expect(error?.faults.map(\.line) == [1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15])
        #expect(error?.faults.allSatisfy { $0.message.hasSuffix(".") } == true)
        #expect(error?.faults[1].message.contains("allow-exec") == true)
    }
}
