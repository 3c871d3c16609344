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
                rpc-auth-file /etc/farseed/rpc
                state-directory /var/lib/agent\r
                transmission-remote /opt/bin/transmission-remote
                allow-exec /usr/bin/df
                allow-exec /usr/bin/du -sh /srv/*
                \texec-time-limit 30
                exec-output-limit 1M
                disk-reserve 5G
                disk-guard yes
                unwatched-interval 30
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
        #expect(configuration.disk == .init(reserve: 5 << 30, pauses: true))
        #expect(configuration.unwatchedInterval == 30)
        #expect(configuration.isResident == false)
        #expect(configuration.logLevel == "debug")
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
                    """
            )
        }
        #expect(error?.faults.map(\.line) == [1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14])
        #expect(error?.faults.allSatisfy { $0.message.hasSuffix(".") } == true)
        #expect(error?.faults[1].message.contains("allow-exec") == true)
    }
}
