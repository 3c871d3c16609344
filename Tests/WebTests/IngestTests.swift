/// Events by ZeroMQ's wire protocol: the pure machine, and a PULL socket that is pushed to byte by byte.
import Logging
import NIOCore
import NIOPosix
import Notation
import Testing

@testable import Web

private let ready = ZMTPMachine.command("READY", ZMTPMachine.property("Socket-Type", "PUSH"))

private func frame(_ body: [UInt8], more: Bool = false) -> [UInt8] {
    let flags: UInt8 = more ? 1 : 0
    guard body.count > 255 else { return [flags, UInt8(body.count)] + body }
    return [flags | 2] + (0..<8).map { UInt8(body.count >> (56 - 8 * $0) & 0xFF) } + body
}

private func run(_ bytes: [UInt8], step: Int = .max) -> [ZMTPMachine.Output] {
    var machine = ZMTPMachine(maximumMessage: 1_000)
    var outputs: [ZMTPMachine.Output] = []
    for piece in pieces(of: bytes, step) {
        machine.received(piece)
        while let output = machine.next() { outputs.append(output) }
    }
    return outputs
}

@Suite struct ZMTPTests {
    private static let opening: [ZMTPMachine.Output] = [.send(ZMTPMachine.ready), .ready]
    private static let hello = ZMTPMachine.greeting + ready

    @Test("Messages come out whole, however the bytes are cut", arguments: [1, 7, 64, Int.max])
    func messages(step: Int) {
        let long = [UInt8](repeating: 7, count: 1_000)
        let bytes = Self.hello + frame([1, 2]) + frame([]) + frame(long)
        #expect(run(bytes, step: step) == Self.opening + [.message([1, 2]), .message([]), .message(long)])
        let parts = Self.hello + frame([1], more: true) + frame([2], more: true) + frame([3]) + frame([4])
        #expect(run(parts, step: step) == Self.opening + [.passedOver, .message([4])])
        let ping = Self.hello + ZMTPMachine.command("PING", [0, 9, 5, 6]) + frame([1])
        let pong = ZMTPMachine.Output.send(ZMTPMachine.command("PONG", [5, 6]))
        #expect(run(ping, step: step) == Self.opening + [pong, .message([1])])
    }

    @Test("A later minor version and further properties are taken")
    func laterVersion() {
        var greeting = ZMTPMachine.greeting
        greeting[11] = 1
        let both = ZMTPMachine.property("Identity", "") + ZMTPMachine.property("SOCKET-TYPE", "PUSH")
        #expect(run(greeting + ZMTPMachine.command("READY", both)) == Self.opening)
    }

    private static let strangers: [[UInt8]] = {
        let greeting = ZMTPMachine.greeting
        let plain = Array(greeting[..<12]) + Array("PLAIN".utf8) + [UInt8](repeating: 0, count: 47)
        let tooLong = Array(frame([UInt8](repeating: 0, count: 1_001)).prefix(9))
        return [
            Array("GET / HTTP/1.1\r\n\r\n".utf8),
            Array(greeting[..<10]) + [1],
            plain,
            greeting + ZMTPMachine.ready,
            greeting + ZMTPMachine.command("READY", []),
            greeting + ZMTPMachine.command("READY", [3, 1]),
            greeting + frame([1]),
            hello + [8, 0],
            hello + [5, 0],
            hello + tooLong,
            hello + [2] + [UInt8](repeating: 0xFF, count: 8),
        ]
    }()

    @Test("What is no PUSH socket of ZMTP 3 fails, and nothing comes after it", arguments: strangers)
    func failures(bytes: [UInt8]) {
        for step in [1, Int.max] {
            let outputs = run(bytes + frame([1]), step: step)
            guard case .failure = outputs.last else {
                Issue.record("\(outputs)")
                continue
            }
            #expect(outputs.count { if case .message = $0 { true } else { false } } == 0)
        }
    }
}

@Suite struct IngestTests {
    /// A web server with an ingest beside it.
    private static func with(
        _ change: (inout IngestConfiguration) -> Void = { _ in },
        _ body: @escaping @Sendable (LiveServer, _ port: Int) async throws -> Void
    ) async throws {
        var configuration = IngestConfiguration(host: "127.0.0.1", port: 0, topics: ["com.example.", "farseed.x."])
        change(&configuration)
        try await LiveServer.with { [configuration] live in
            let server = IngestServer(
                configuration: configuration,
                group: .singletonMultiThreadedEventLoopGroup,
                realm: live.realm,
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
            )
            let running = Task { try await server.run() }
            defer { running.cancel() }
            let port = try await within { try await server.boundAddress.port ?? 0 }
            try await body(live, port)
            running.cancel()
            try await within { try await running.value }
        }
    }

    /// A connection whose handshake is done.
    private static func push(_ port: Int) async throws -> RawClient {
        let client = try await RawClient.connect(port: port)
        try await client.send(ZMTPMachine.greeting + ready)
        let opening = ZMTPMachine.greeting + ZMTPMachine.ready
        let isOpen = try await client.next { bytes in
            guard bytes.count >= opening.count else { return nil as Bool? }
            defer { bytes.removeFirst(opening.count) }
            return bytes.starts(with: opening)
        }
        #expect(isOpen == true)
        return client
    }

    @Test("Messages become events of the topics that are allowed; anything else is dropped")
    func events() async throws {
        try await Self.with { live, port in
            let socket = try await TestSocket.session(live)
            _ = try await socket.subscribe("farseed.", id: 1, options: ["match": "prefix"])
            let client = try await Self.push(port)
            for text in [
                "nonsense", "[]", #"{"topic":"farseed.x.a"}"#, #"{"topic":1,"data":2}"#,
                #"{"topic":"farseed.vps.torrents","data":{}}"#, #"{"topic":"farseed.x","data":1}"#,
                #"{"topic":"farseed.x.","data":1}"#, #"{"topic":"farseed.x.a b","data":1}"#,
                #"{"topic":"farseed.x.a","data":{"k":1}}"#, #"{"topic":"farseed.x.b","data":[1]}"#,
            ] {
                try await client.send(frame(Array(text.utf8)))
            }
            let first = try #require(try await socket.message()?.array)
            #expect(first[3]["topic"] == "farseed.x.a" && first[5] == ["k": 1])
            let second = try #require(try await socket.message()?.array)
            #expect(second[3]["topic"] == "farseed.x.b" && second[4] == [[1]])
            client.close()
            socket.close()
        }
    }

    @Test("More than the rate waits in the sender, and nothing is lost")
    func rate() async throws {
        try await Self.with {
            $0.limits.messagesPerSecond = 200
            $0.limits.messageBurst = 10
        } _: { live, port in
            let socket = try await TestSocket.session(live)
            _ = try await socket.subscribe("farseed.x.n", id: 1)
            let client = try await Self.push(port)
            let start = ContinuousClock.now
            for number in 1...110 {
                try await client.send(frame(Array(#"{"topic":"farseed.x.n","data":\#(number)}"#.utf8)))
            }
            for number in 1...110 {
                #expect(try await socket.message()?.array?[4] == [.int(Int64(number))])
            }
            #expect(ContinuousClock.now - start > .milliseconds(450))
            client.close()
            socket.close()
        }
    }

    @Test("Too large, too slow to greet, of another kind or too many: each ends its own connection only")
    func bounds() async throws {
        try await Self.with {
            $0.limits.connections = 2
            $0.limits.readyWithin = 300
            $0.limits.messageBytes = 500
        } _: { live, port in
            let good = try await Self.push(port)
            let large = try await Self.push(port)
            let third = try await RawClient.connect(port: port)
            #expect(try await third.rest().isEmpty)
            try await large.send(frame([UInt8](repeating: 0x20, count: 501)))
            #expect(try await large.rest().isEmpty)
            let foreign = try await RawClient.connect(port: port)
            try await foreign.send("GET / HTTP/1.1\r\n\r\n")
            #expect(try await foreign.rest() == ZMTPMachine.greeting)
            let silent = try await RawClient.connect(port: port)
            #expect(try await silent.rest() == ZMTPMachine.greeting)
            let socket = try await TestSocket.session(live)
            _ = try await socket.subscribe("farseed.x.n", id: 1)
            try await good.send(frame(Array(#"{"topic":"farseed.x.n","data":1}"#.utf8)))
            #expect(try await socket.message()?.array?[4] == [1])
            good.close()
            socket.close()
        }
    }

    @Test("A port in use ends in one sentence")
    func portInUse() async throws {
        try await Self.with { live, port in
            let second = IngestServer(
                configuration: IngestConfiguration(host: "127.0.0.1", port: port, topics: ["a."]),
                group: .singletonMultiThreadedEventLoopGroup,
                realm: live.realm,
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
            )
            let error = await #expect(throws: WebError.self) { try await second.run() }
            #expect(error?.code == .listenFailed)
        }
    }
}
