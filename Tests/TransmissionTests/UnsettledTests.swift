/// A command whose answer is lost may have been done; one that never left was not.
import NIOPosix
import Notation
import Seedbox
import TestSupport
import Testing

@testable import Transmission

@Suite(.timeLimit(.minutes(1))) struct UnsettledTests {
    private static let hash = String(repeating: "a", count: 40)
    private static let row = """
        {"result":"success","arguments":{"torrents":[["hashString","id","status"],["\(hash)",1,4]]}}
        """
    private let stop: Value = ["hashes": [.string(hash)]]

    private func verbs(_ configuration: RPCConfiguration) -> Verbs {
        Verbs(client: RPCClient(configuration, group: MultiThreadedEventLoopGroup.singleton))
    }

    @Test func `a daemon that goes away after it was told may have acted`() async throws {
        let daemon = try await FakeDaemon { _, request in
            request.body["method"] == "torrent-get" ? .ok(Self.row) : .close
        }
        let unsettled = await #expect(throws: UnsettledProblem.self) {
            try await self.verbs(daemon.configuration).perform(.stop, self.stop)
        }
        #expect(unsettled?.problem.code == .transmissionDown)
        try await daemon.stop()
    }

    @Test func `a daemon that goes away at a question has not acted`() async throws {
        let daemon = try await FakeDaemon { _, _ in .close }
        let problem = await #expect(throws: Problem.self) {
            try await self.verbs(daemon.configuration).perform(.stop, self.stop)
        }
        #expect(problem?.code == .transmissionDown)
        try await daemon.stop()
    }

    @Test func `a refusal is settled`() async throws {
        let daemon = try await FakeDaemon { _, request in
            request.body["method"] == "torrent-get" ? .ok(Self.row) : .ok(#"{"result":"no","arguments":{}}"#)
        }
        let problem = await #expect(throws: Problem.self) {
            try await self.verbs(daemon.configuration).perform(.stop, self.stop)
        }
        #expect(problem?.code == .transmissionRefused)
        try await daemon.stop()
    }

    @Test func `a command for another state is not sent`() async throws {
        let daemon = try await FakeDaemon { _, _ in .ok(Self.row) }
        let problem = await #expect(throws: Problem.self) {
            try await self.verbs(daemon.configuration).perform(
                .stop,
                ["hashes": [.string(Self.hash)], "only_if": ["status": ["seeding"]]]
            )
        }
        #expect(problem?.code == .conflict)
        #expect(daemon.seen.allSatisfy { $0.body["method"] == "torrent-get" })
        try await daemon.stop()
    }
}
