/// Whether the port for peers is open, as either notation says it.
import NIOPosix
import Notation
import Seedbox
import TestSupport
import Testing

@testable import Transmission

@Suite(.timeLimit(.minutes(1))) struct PortTestTests {
    /// A daemon of this notation that answers a port test so.
    private func daemon(_ dialect: RPCDialect, _ answer: Value) async throws -> FakeDaemon {
        try await FakeDaemon { number, _ in
            switch dialect {
            case _ where number == 0:
                let version = dialect == .jsonRPC ? [("X-Transmission-Rpc-Version", "6.0.0")] : []
                return .http(409, [("X-Transmission-Session-Id", "x")] + version, "")
            case .old: return .ok(JSON.text(["result": "success", "arguments": answer]))
            case .jsonRPC: return .ok(JSON.text(["jsonrpc": "2.0", "id": 1, "result": answer]))
            }
        }
    }

    private func verbs(_ daemon: FakeDaemon) -> Verbs {
        Verbs(client: RPCClient(daemon.configuration, group: MultiThreadedEventLoopGroup.singleton))
    }

    @Test(
        arguments: [(RPCDialect.old, "port-test", "port-is-open"), (.jsonRPC, "port_test", "port_is_open")],
        [true, false]
    )
    func `an open port is told as open, a closed one as closed`(
        _ spelling: (dialect: RPCDialect, method: String, figure: String),
        _ isOpen: Bool
    ) async throws {
        let daemon = try await daemon(spelling.dialect, [spelling.figure: .bool(isOpen)])
        #expect(try await verbs(daemon).perform(.portTest, [:]) == ["open": .bool(isOpen)])
        #expect(daemon.seen.last?.body["method"] == .string(spelling.method))
        try await daemon.stop()
    }

    @Test(arguments: [RPCDialect.old, .jsonRPC])
    func `a daemon that does not say is not taken for a closed port`(_ dialect: RPCDialect) async throws {
        let daemon = try await daemon(dialect, [:])
        let problem = await #expect(throws: Problem.self) { try await self.verbs(daemon).perform(.portTest, [:]) }
        #expect(problem?.code == .transmissionRefused)
        try await daemon.stop()
    }
}
