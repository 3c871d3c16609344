// What a program says last leaves together with the answer.
import NIOCore
import Notation
import Seedbox
import Synchronization
import TestSupport
import Testing

@testable import Calls

@Suite struct GatheringTests {
    @Test func `What is queued waits for the answer of the one call`() {
        var gathering = Gathering()
        #expect(!gathering.holds)
        let period = gathering.begin(7)
        #expect(period != nil && gathering.holds)
        let isOver = gathering.answered(7)
        #expect(isOver && !gathering.holds)
    }

    @Test func `It waits for all who have begun within one period, and no longer`() throws {
        var gathering = Gathering()
        let begun = gathering.begin(1)
        let period = try #require(begun)
        let none = gathering.begin(2)
        #expect(none == nil)
        let isOver = gathering.answered(1)
        #expect(!isOver && gathering.holds)
        let isEnded = gathering.end(period)
        #expect(isEnded && !gathering.holds)
    }

    @Test func `Who begins anew holds back nothing that has waited already`() throws {
        var gathering = Gathering()
        let begun = gathering.begin(1)
        let first = try #require(begun)
        _ = gathering.end(first)
        let second = gathering.begin(2)
        #expect(second != nil && second != first && !gathering.holds)
        gathering.taken()
        #expect(gathering.holds)
        // The clock of the first is late.
        let isEnded = gathering.end(first)
        #expect(!isEnded && gathering.holds)
    }

    @Test func `A call that did not begin changes nothing by its answer`() {
        var gathering = Gathering()
        _ = gathering.begin(1)
        let isOver = gathering.answered(2)
        #expect(!isOver && gathering.holds)
    }

    @Test func `A program's last words and its end are one write`() async throws {
        let pair = PipeByteStream.pair()
        let counted = CountingStream(pair.1)
        try await connected(streams: (pair.0, counted)) { call in
            counted.forget()
            call.gather(within: .seconds(60))
            try await call.send(ByteBuffer(string: "done"), lane: 1)
            try await call.end(lane: 1)
            try await call.end(lane: 2)
            return ["status": 0]
        } _: { caller, _ in
            // What the two say first is written.
            _ = try await caller.peerHello()
            let call = try await caller.open("exec")
            let status = try await call.result()
            #expect(status == ["status": 0])
            #expect(counted.writes == 1)
        }
    }

    @Test func `A call and the end of its input are one write`() async throws {
        let pair = PipeByteStream.pair()
        let counted = CountingStream(pair.0)
        try await connected(streams: (counted, pair.1)) { call in
            for await input in call.inputs where input == .end(lane: 0) {
                return ["writes": .int(Int64(counted.writes))]
            }
            return nil
        } _: { caller, _ in
            // The answer tells that our hello is written.
            _ = try await caller.ping()
            counted.forget()
            let call = try await caller.open("exec", ending: [0])
            // It has ended: nothing is sent, and so the reply is not waited for any longer.
            try await call.end(lane: 0)
            let result = try await call.result()
            #expect(result == ["writes": 1])
            #expect(counted.writes == 1)
        }
    }

    @Test func `An end that came with the call is seen before anything is read`() async throws {
        let arrived = Signal()
        try await connected { call in
            if call.procedure == "second" {
                arrived.set()
                return nil
            }
            // The second call came behind the end.
            await arrived.wait()
            let (isOver, other) = (call.hasEnded(lane: 0), call.hasEnded(lane: 1))
            var inputs = 0
            for await input in call.inputs where input == .end(lane: 0) {
                inputs += 1
                break
            }
            return [.bool(isOver), .bool(other), .bool(call.hasEnded(lane: 0)), .int(Int64(inputs))]
        } _: { caller, _ in
            let call = try await caller.open("exec", ending: [0])
            _ = try await caller.call("second")
            #expect(try await call.result() == [true, false, false, 1])
        }
    }

    @Test func `Words that are not the last go out all the same`() async throws {
        let heard = Signal()
        try await connected { call in
            call.gather()
            try await call.send(ByteBuffer(string: "first"), lane: 1)
            await heard.wait()
            return nil
        } _: { caller, _ in
            let call = try await caller.open("exec")
            for await event in call.events {
                guard case .data(1, let bytes) = event else { continue }
                #expect(String(buffer: bytes) == "first")
                heard.set()
            }
            _ = try await call.result()
        }
    }
}

/// Counts the writes on their way through.
private final class CountingStream: ByteStream {
    private let stream: any ByteStream
    private let count = Mutex(0)

    init(_ stream: any ByteStream) { self.stream = stream }

    var writes: Int { count.withLock(\.self) }

    func forget() { count.withLock { $0 = 0 } }

    func read() async throws -> ByteBuffer? { try await stream.read() }

    func write(_ bytes: ByteBuffer) async throws {
        count.withLock { $0 += 1 }
        try await stream.write(bytes)
    }

    func close() async { await stream.close() }
}
