// How connections end: in good order, by loss, by goodbye and by what is not the protocol.
import Calls
import NIOCore
import Notation
import Seedbox
import Synchronization
import TestSupport
import Testing
import Wire

@Suite struct EndTests {
    /// Runs a connection against bytes that a peer without manners sends; gives back what it answered and its error.
    private func run(
        _ side: CallConnection.Side,
        against bytes: [UInt8],
        closing: Bool = false,
        admission: CallConnection.Admission? = nil
    ) async throws -> (frames: [Frame], error: (any Error)?) {
        let (stream, peer) = PipeByteStream.pair()
        let connection = CallConnection(
            stream: stream,
            hello: Hello(software: "tested"),
            side: side,
            handler: Handler { _ in
                try await Task.sleep(for: .seconds(60)); return .null
            },
            admission: admission
        )
        return try await withDeadline {
            let running = Task { try await connection.run() }
            try await peer.write(ByteBuffer(bytes: bytes))
            if closing { await peer.closeWriting() }
            var decoder = FrameDecoder()
            var frames: [Frame] = []
            while let read = try? await peer.read() {
                decoder.append(read)
                while let frame = try decoder.next() { frames.append(frame) }
            }
            do {
                try await running.value
                return (frames, nil)
            } catch {
                return (frames, error)
            }
        }
    }

    private func greeting(_ frames: Frame..., hello: Hello = Hello(software: "peer")) -> [UInt8] {
        var buffer = ByteBuffer(bytes: Frame.preamble)
        for frame in [Frame(.hello(hello))] + frames { frame.encode(into: &buffer) }
        return Array(buffer.readableBytesView)
    }

    @Test func `A connection is idle when its calls have ended, also those that nobody holds`() async throws {
        try await connected { call in
            for await _ in call.inputs {}
            return true
        } _: { caller, _ in
            try await caller.idle()
            let calls = [try await caller.open("wait"), try await caller.open("wait")]
            let idle = Task { try await caller.idle() }
            _ = try await caller.ping()
            let isIdle = Mutex(false)
            let watching = Task {
                _ = try? await idle.value
                isIdle.withLock { $0 = true }
            }
            for call in calls {
                #expect(!isIdle.withLock { $0 })
                call.cancel()
                _ = try? await call.result()
            }
            try await idle.value
            await watching.value
            _ = try await caller.open("wait")
            try await caller.idle()
        }
    }

    @Test func `A stream that begins with something else is not answered, and kept`() async throws {
        let text = "\u{1b}[1mLast login: never\nbash: farseed-agent: command not found\n"
        let (frames, error) = try await run(.caller, against: Array(text.utf8))
        #expect(frames == [Frame(.hello(Hello(software: "tested")))])
        let calls = try #require(error as? CallsError)
        #expect(calls.code == .notFarseed)
        #expect(calls.received == Array(text.utf8))
        #expect(calls.problem.code == .agentUnexpected)
        #expect(!calls.message.contains("\u{1b}"))
    }

    @Test(arguments: ["", "FAR", "FARSEED\n", "FARSEED\n\0\0"])
    func `A stream that ends before the greeting says so`(_ text: String) async throws {
        let (_, error) = try await run(.caller, against: Array(text.utf8), closing: true)
        #expect((error as? CallsError)?.code == .notGreeted)
    }

    @Test func `A peer of another version is told so and named`() async throws {
        let newer = Hello(software: "farseed-agent 9.0.0", versions: 7...9)
        let (frames, error) = try await run(.caller, against: greeting(hello: newer))
        let problem = try #require(error as? Problem)
        #expect(problem.code == .agentIncompatible)
        #expect(problem.message.contains("farseed-agent 9.0.0"))
        #expect(frames.last == Frame(.goodbye(WireFailure(code: "agent-incompatible", message: problem.message))))
    }

    @Test func `Both sides of two versions end alike`() async throws {
        let (left, right) = PipeByteStream.pair()
        let old = CallConnection(stream: left, hello: Hello(software: "old"), side: .caller)
        let new = CallConnection(stream: right, hello: Hello(software: "new", versions: 2...3), side: .callee)
        try await withDeadline {
            async let one = problemCode { try await old.run() }
            async let other = problemCode { try await new.run() }
            let call = await problemCode { _ = try await old.call("status") }
            #expect(await [one, other, call] == [.agentIncompatible, .agentIncompatible, .agentIncompatible])
            #expect(await problemCode { _ = try await old.peerHello() } == .agentIncompatible)
        }
    }

    @Test func `A greeting that is not admitted is answered with the problem, and no call starts`() async throws {
        let bytes = greeting(
            Frame(.call(procedure: "remove", arguments: .null, cost: 0), call: 1),
            hello: Hello(software: "farseed", epoch: 3)
        )
        let outdated = Problem(.controllerOutdated, "A newer controller was here. Stop this one.")
        let (frames, error) = try await run(.callee, against: bytes) { hello in
            if hello.epoch == 3 { throw outdated }
        }
        #expect(error as? Problem == outdated)
        #expect(frames.map(\.kind) == [.hello, .goodbye])
    }

    @Test func `A peer's goodbye fails the open calls with its code`() async throws {
        try await connected { call in
            try await call.emit("ready")
            try await Task.sleep(for: .seconds(60))
            return .null
        } _: { caller, callee in
            let call = try await caller.open("watch")
            var events = call.events.makeAsyncIterator()
            _ = await events.next()
            await callee.close(Problem(.controllerOutdated, "A newer one is here."))
            #expect(await problemCode { _ = try await call.result() } == .controllerOutdated)
            #expect(await events.next() == nil)
            #expect(await problemCode { _ = try await caller.call("x") } == .controllerOutdated)
        }
    }

    @Test func `A reason to close fails one's own open calls, too`() async throws {
        try await connected { call in
            try await call.emit("ready")
            try await Task.sleep(for: .seconds(60))
            return .null
        } _: { caller, _ in
            let call = try await caller.open("watch")
            var events = call.events.makeAsyncIterator()
            _ = await events.next()
            let silent = Problem(.connectionLost, "Nobody answers.")
            await caller.close(silent)
            await #expect(throws: silent) { _ = try await call.result() }
            await #expect(throws: silent) { _ = try await caller.call("x") }
        }
    }

    @Test func `Losing the stream fails the open calls and cancels the handlers`() async throws {
        struct Reset: Error {}
        let (left, right) = PipeByteStream.pair()
        let cancelled = Signal()
        try await connected(streams: (left, right)) { call in
            defer { cancelled.set() }
            try await call.emit("ready")
            try await Task.sleep(for: .seconds(60))
            return .null
        } _: { caller, _ in
            let call = try await caller.open("watch")
            var events = call.events.makeAsyncIterator()
            _ = await events.next()
            left.sever(Reset())
            #expect(await problemCode { _ = try await call.result() } == .connectionLost)
            await #expect(throws: CallsError.self) { _ = try await caller.ping() }
            #expect(await problemCode { _ = try await caller.call("x") } == .connectionLost)
            await cancelled.wait()
        }
    }

    @Test func `A stream cut within a frame is lost, one that ends between frames is just over`() async throws {
        let whole = greeting(Frame(.ping(1)))
        let (_, none) = try await run(.callee, against: whole, closing: true)
        #expect(none == nil)
        let (_, error) = try await run(.callee, against: whole.dropLast(), closing: true)
        #expect((error as? CallsError)?.code == .lost)
    }

    @Test func `Cancelling a run closes the stream and everything on it`() async throws {
        let (left, right) = PipeByteStream.pair()
        let connection = CallConnection(stream: left, hello: Hello(software: "caller"), side: .caller)
        try await withDeadline {
            let running = Task { try await connection.run() }
            let call = Task { try await connection.call("never") }
            // The hello and perhaps the call: it runs.
            _ = try await right.read()
            running.cancel()
            await #expect(throws: CancellationError.self) { try await running.value }
            #expect(await problemCode { _ = try await call.value } == .connectionLost)
            while try await right.read() != nil {}
        }
    }

    @Test func `A close before the run ends the run at once`() async throws {
        let (left, _) = PipeByteStream.pair()
        let connection = CallConnection(stream: left, hello: Hello(software: "caller"), side: .caller)
        try await withDeadline {
            await connection.close()
            try await connection.run()
            #expect(await problemCode { _ = try await connection.call("x") } == .connectionLost)
        }
    }

    @Test func `A close by the handler itself ends in good order`() async throws {
        let (left, right) = PipeByteStream.pair()
        let caller = CallConnection(stream: left, hello: Hello(software: "caller"), side: .caller)
        let callees = AsyncStream<CallConnection>.makeStream()
        let callee = CallConnection(
            stream: right,
            hello: Hello(software: "callee"),
            side: .callee,
            handler: Handler { _ in
                for await callee in callees.stream { await callee.close(Problem(.refused, "No more.")) }
                return .null
            }
        )
        callees.continuation.yield(callee)
        callees.continuation.finish()
        try await withDeadline {
            async let one = problemCode { try await caller.run() }
            async let other: Void = callee.run()
            #expect(await problemCode { _ = try await caller.call("stop") } == .refused)
            #expect(await one == .refused)
            try await other
        }
    }

    @Test func `A goodbye that the peer does not take is not waited for`() async throws {
        let again = Frame(.hello(Hello(software: "again")))
        let stream = StuckStream(ByteBuffer(bytes: greeting(again)))
        let connection = CallConnection(stream: stream, hello: Hello(software: "tested"), side: .callee)
        try await withDeadline {
            let error = await #expect(throws: CallsError.self) { try await connection.run() }
            #expect(error?.code == .violated)
        }
    }

    @Test func `Who pings without reading is not read any more`() async throws {
        let (stream, peer) = PipeByteStream.pair(capacity: 4_096)
        let connection = CallConnection(stream: stream, hello: Hello(software: "tested"), side: .callee)
        try await withDeadline {
            let running = Task { try await connection.run() }
            try await peer.write(ByteBuffer(bytes: self.greeting()))
            var pings = ByteBuffer()
            for token in 0..<1_000 as Range<UInt64> { Frame(.ping(token)).encode(into: &pings) }
            let written = Mutex(0)
            let flood = Task { [pings] in
                for _ in 0..<1_000 {
                    try await peer.write(pings)
                    written.withLock { $0 += 1 }
                }
            }
            // 17 MB that would be answered with as much; it has every chance to be written.
            for _ in 0..<2_000 { await Task.yield() }
            running.cancel()
            flood.cancel()
            _ = try? await running.value
            _ = try? await flood.value
            #expect(written.withLock { $0 } < 100)
        }
    }

    @Test(arguments: [
        Frame(.hello(Hello(software: "again"))),
        Frame(.reply(.null), call: 1),
        Frame(.event(.null, cost: 0), call: 1),
        Frame(.credit(1), call: 9),
        Frame(.data(lane: 0, ByteBuffer()), call: 9),
    ])
    func `A violation is answered with goodbye and ends everything`(_ frame: Frame) async throws {
        let call = Frame(.call(procedure: "sleep", arguments: .null, cost: 0), call: 1)
        let (frames, error) = try await run(.callee, against: greeting(call, frame))
        #expect((error as? CallsError)?.code == .violated)
        guard case .goodbye(let failure) = frames.last?.body else {
            Issue.record("No goodbye but \(frames).")
            return
        }
        #expect(failure.code == "bad-request")
    }

    @Test func `Hostile streams end every connection in order`() async throws {
        var random = RepeatableRandom(seed: 0xFA25)
        let call = Frame(.call(procedure: "sleep", arguments: .null, cost: 0), call: 1)
        let data = Frame(.data(lane: 0, ByteBuffer(string: "some bytes")), call: 1)
        let good = greeting(call, data, Frame(.end(lane: 0), call: 1), Frame(.ping(3)), Frame(.cancel, call: 1))
        for _ in 0..<300 {
            var bytes = good
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            _ = try await run(.callee, against: bytes, closing: true)
        }
    }
}

/// A stream that brings a few bytes and takes none.
final class StuckStream: ByteStream {
    private let bytes: Mutex<ByteBuffer?>
    private let closed = Signal()

    init(_ bytes: ByteBuffer) { self.bytes = Mutex(bytes) }

    func read() async throws -> ByteBuffer? {
        if let bytes = bytes.withLock({ $0.take() }) { return bytes }
        await closed.wait()
        return nil
    }

    func write(_ bytes: ByteBuffer) async throws {
        await closed.wait()
        throw PipeClosed()
    }

    func close() async { closed.set() }
}

/// A generator with a seed, so that a failure can be repeated.
struct RepeatableRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state ^ (state >> 33)
    }
}
