import Calls
import Foundation
import Notation
import TestSupport
import Testing
import Transmission

@testable import Agent

@Suite(.timeLimit(.minutes(1))) struct WatchTests {
    @Test func `figures of the host do not wait for a daemon that does not answer`() async throws {
        let daemon = try await FakeDaemon { number, request in
            switch request.body["method"]?.string {
            case "session-get":
                .ok(#"{"result":"success","arguments":{"rpc-version":17,"version":"4.0.6","download-dir":"/"}}"#)
            case "session-stats": .ok(#"{"result":"success","arguments":{}}"#)
            default: number < 3 ? .ok(#"{"result":"success","arguments":{"torrents":[["hashString"]]}}"#) : .silence
            }
        }
        let temporary = try TemporaryDirectory()
        var timing = WatcherTiming()
        timing.watched = 100
        var configuration = AgentConfiguration()
        configuration.rpc = daemon.configuration
        configuration.rpc.replyDeadline = .seconds(300)
        let agent = ServedAgent(configuration, timing: timing, proc: temporary.path)
        try await agent.withConnection { connection in
            let call = try await connection.open("watch", ["topics": ["host"]])
            var load: Int64 = 1
            for await case .event(let value) in call.events {
                if value["figures"]?["load_1"] == .double(Double(load)) { load += 1 }
                if load > 2 { break }
                _ = try temporary.write("loadavg", "\(load).00 0.00 0.00 1/1 1\n")
                agent.core.host.audienceChanged()
            }
            #expect(load == 3)
        }
        try await daemon.stop()
    }
}
