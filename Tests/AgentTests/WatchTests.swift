import Calls
import Foundation
import NIOCore
import Notation
import Seedbox
import Synchronization
import TestSupport
import Testing
import Transmission
import Wire

@testable import Agent

@Suite(.timeLimit(.minutes(1))) struct WatchTests {
    /// One torrent that has received more at every look, and statistics that grow likewise.
    private func moving(upTo last: Int64 = .max) async throws -> FakeDaemon {
        let count = Mutex<Int64>(0)
        return try await FakeDaemon { _, request in
            let number = count.withLock { count in
                count = min(count + 1, last)
                return count
            }
            let arguments: Value
            switch request.body["method"]?.string {
            case "session-get": arguments = ["rpc-version": 17, "version": "4.0.6", "download-dir": "/"]
            case "session-stats": arguments = ["downloadSpeed": .int(number)]
            default:
                let fields = request.body["arguments"]?["fields"]?.array ?? []
                let cells = fields.map { field -> Value in
                    switch field.string {
                    case "hashString": .string(ScriptedTransmission.first.hex)
                    case "name", "downloadDir": "/"
                    default: .int(number)
                    }
                }
                arguments = ["torrents": [.array(fields), .array(cells)], "removed": []]
            }
            return .ok(JSON.text(["result": "success", "arguments": arguments]))
        }
    }

    /// The kinds of the events that were written at a time, write by write.
    private func kinds(_ stream: RecordedWrites) throws -> [[String]] {
        try stream.writes.dropFirst().map { write in
            var decoder = FrameDecoder()
            decoder.append(ByteBuffer(bytes: Array("FARSEED\n".utf8)))
            decoder.append(write)
            var kinds: [String] = []
            while let frame = try decoder.next() {
                if case .event(let value, _) = frame.body { kinds.append(value["kind"]?.string ?? "") }
            }
            return kinds
        }
    }

    @Test func `what an interval brings goes out in one write`() async throws {
        let daemon = try await moving()
        let temporary = try TemporaryDirectory()
        var timing = WatcherTiming()
        timing.watched = 150
        timing.session = 500
        var configuration = AgentConfiguration()
        configuration.rpc = daemon.configuration
        let core = ServedAgent(configuration, timing: timing, proc: temporary.path).core
        let (outside, inside) = PipeByteStream.pair()
        let stream = RecordedWrites(inside)
        let caller = CallConnection(stream: outside, hello: Hello(software: "test"), side: .caller)
        try await withThrowingTaskGroup(of: Void.self) { group in
            defer { group.cancelAll() }
            group.addTask { await core.run() }
            group.addTask { await core.serve(stream, as: .control) }
            group.addTask { try? await caller.run() }
            let call = try await caller.open("watch")
            var events = call.events.makeAsyncIterator()
            /// Takes events until the host's are told of this load.
            func until(load: Value) async throws {
                while case .event(let value) = await events.next() {
                    if value["kind"] == "host", value["figures"]?["load_1"] == load { return }
                }
                Issue.record("the watch has ended")
            }
            _ = try temporary.write("loadavg", "0.00 0.00 0.00 1/1 1\n")
            core.host.audienceChanged()
            try await until(load: 0.0)
            let before = stream.writes.count - 1
            for load in 1...5 {
                _ = try temporary.write("loadavg", "\(load).00 0.00 0.00 1/1 1\n")
                core.host.audienceChanged()
                try await until(load: .double(Double(load)))
            }
            let later = try kinds(stream).dropFirst(before)
            #expect(later.joined().filter { $0 == "host" }.count >= 5)
            for kinds in later where !kinds.isEmpty { #expect(kinds.contains("delta"), "\(later)") }
            await caller.close()
        }
        try await daemon.stop()
    }

    @Test(arguments: [true, false])
    func `who asks for steps is told of numbers by them, and both end with the same table`(_ asks: Bool) async throws {
        let last: Int64 = 30
        let daemon = try await moving(upTo: last)
        var timing = WatcherTiming()
        timing.watched = 20
        var configuration = AgentConfiguration()
        configuration.rpc = daemon.configuration
        let agent = ServedAgent(configuration, timing: timing)
        try await agent.withConnection { connection in
            let call = try await connection.open("watch", ["topics": ["torrents"], "steps": .bool(asks)])
            var mirror = Seedbox.Mirror(epoch: 1)
            var rows = 0
            for await case .event(let value) in call.events {
                rows += value["rows"] != nil && value["kind"] == "delta" ? 1 : 0
                let event = try #require(Event(value))
                #expect(mirror.received(event) != .gap)
                if mirror.table.torrents.first?.value[.up] == .int(last) { break }
            }
            let torrents = mirror.table.torrents
            #expect(torrents == agent.core.source.table?.torrents)
            #expect(torrents[ScriptedTransmission.first]?[.up] == .int(last))
            #expect(asks ? rows > 0 : rows == 0)
        }
        try await daemon.stop()
    }

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
