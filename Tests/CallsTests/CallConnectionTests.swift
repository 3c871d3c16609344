// Calls between two connections over a stream in memory.
import Calls
import NIOCore
import Notation
import Seedbox
import Synchronization
import TestSupport
import Testing
import Wire

@Suite struct CallConnectionTests {
    @Test func `A call is answered with the handler's value`() async throws {
        try await connected { call in
            ["procedure": .string(call.procedure), "arguments": call.arguments]
        } _: { caller, _ in
            let value = try await caller.call("echo", [1, "two", nil])
            #expect(value == ["procedure": "echo", "arguments": [1, "two", nil]])
        }
    }

    @Test func `Both sides learn the other's hello`() async throws {
        let callerHello = Hello(software: "farseed 1", epoch: 5)
        let calleeHello = Hello(software: "agent 1", capabilities: ["watch"], role: "read")
        try await connected(callerHello: callerHello, calleeHello: calleeHello) { call in
            .string(try await call.caller.software)
        } _: { caller, callee in
            let ofCallee = try await caller.peerHello()
            #expect(ofCallee == calleeHello)
            let ofCaller = try await callee.peerHello()
            #expect(ofCaller == callerHello)
            let answer = try await caller.call("who")
            #expect(answer == "farseed 1")
        }
    }

    @Test func `A problem that the handler throws reaches the caller`() async throws {
        try await connected { _ in
            throw Problem(.transmissionDown, "It is not running. Start it.")
        } _: { caller, _ in
            await #expect(throws: Problem(.transmissionDown, "It is not running. Start it.")) {
                _ = try await caller.call("status")
            }
        }
    }

    @Test func `Another error is an internal fault that tells no details`() async throws {
        struct Secretive: Error { var password = "hunter2" }
        try await connected { _ in
            throw Secretive()
        } _: { caller, _ in
            let error = await #expect(throws: Problem.self) { _ = try await caller.call("status") }
            #expect(error?.code == .internalFault)
            #expect(error?.message.contains("hunter2") == false)
        }
    }

    @Test(arguments: [65_536, 100, 1])
    func `A thousand calls at once are each answered with their own`(_ readSize: Int) async throws {
        let pair = PipeByteStream.pair(capacity: 4_096, readSize: readSize)
        let count: Int64 = readSize == 1 ? 100 : 1_000
        let started = Mutex<Int64>(0)
        let all = Signal()
        try await connected(streams: pair) { call in
            // Nobody answers before all are there: they are open at the same time.
            if started.withLock({
                $0 += 1; return $0
            }) == count {
                all.set()
            }
            await all.wait()
            return call.arguments
        } _: { caller, _ in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<count {
                    group.addTask {
                        let answer = try await caller.call("echo", .int(number))
                        #expect(answer == .int(number))
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    @Test func `A call more than the limit fails at once and the others go on`() async throws {
        let go = Signal()
        try await connected { _ in
            await go.wait()
            return true
        } _: { caller, _ in
            var calls: [OutgoingCall] = []
            for _ in 0..<WireConnection.maximumCalls { calls.append(try await caller.open("wait")) }
            #expect(await problemCode { _ = try await caller.call("wait") } == .tooLarge)
            go.set()
            for call in calls { #expect(try await call.result() == true) }
            #expect(try await caller.call("wait") == true)
        }
    }

    @Test func `Events arrive in order and end with the call`() async throws {
        try await connected { call in
            for number in 0..<100 as Range<Int64> { try await call.emit(.int(number)) }
            return "end"
        } _: { caller, _ in
            let call = try await caller.open("count")
            var numbers: [Value] = []
            for await input in call.events {
                if case .event(let value) = input { numbers.append(value) }
            }
            #expect(numbers == (0..<100).map { .int($0) })
            #expect(try await call.result() == "end")
        }
    }

    @Test func `Events that are sent together are written together, as far as there is credit`() async throws {
        let (outside, inside) = PipeByteStream.pair()
        let writes = RecordedWrites(inside)
        let text = Value.string(String(repeating: "x", count: 300))
        try await connected(
            streams: (outside, writes),
            callerHello: Hello(software: "caller", credit: 1024)
        ) { call in
            try await call.emit([1, 2, 3])
            for await _ in call.inputs { break }
            // Together more than the credit: the rest comes as the reader takes them.
            try await call.emit([Value](repeating: text, count: 20))
            return "done"
        } _: { caller, _ in
            // The callee's greeting has left, so that no event leaves with it.
            _ = try await caller.peerHello()
            let call = try await caller.open("events")
            var events: [Value] = []
            for await case .event(let value) in call.events {
                events.append(value)
                if events.count == 3 { try await call.end(lane: 0) }
            }
            #expect(events == [1, 2, 3] + [Value](repeating: text, count: 20))
            #expect(try await call.result() == "done")
        }
        // A frame of an integer below 24 has ten bytes.
        #expect(writes.writes.contains { $0.readableBytes == 30 })
        #expect(writes.writes.count < 23)
    }

    @Test func `Reading the events keeps a call alive that nobody else holds`() async throws {
        try await connected { call in
            for number in 0..<100 as Range<Int64> { try await call.emit(.int(number)) }
            return .null
        } _: { caller, _ in
            let events = try await caller.open("count").events
            var count = 0
            for await _ in events { count += 1 }
            #expect(count == 100)
        }
    }

    @Test func `Data stream both ways on their lanes`() async throws {
        let megabyte = ByteBuffer(repeating: 0x5A, count: 1_000_000)
        try await connected { call in
            var count: Int64 = 0
            for await input in call.inputs {
                switch input {
                case .data(0, let bytes):
                    count += Int64(bytes.readableBytes)
                    try await call.send(bytes, lane: 1)
                case .end(0):
                    try await call.end(lane: 1)
                    return ["count": .int(count)]
                default: Issue.record("Not sent: \(input)")
                }
            }
            throw CancellationError()
        } _: { caller, _ in
            let call = try await caller.open("cat")
            async let sent: Void = {
                try await call.send(megabyte, lane: 0)
                try await call.end(lane: 0)
            }()
            var received = ByteBuffer()
            var ended = false
            for await input in call.events {
                switch input {
                case .data(1, let bytes): received.writeImmutableBuffer(bytes)
                case .end(1): ended = true
                default: Issue.record("Not sent: \(input)")
                }
            }
            try await sent
            #expect(received == megabyte)
            #expect(ended)
            #expect(try await call.result() == ["count": 1_000_000])
        }
    }

    @Test func `A reply, an event and arguments that fit in no frame are problems, and the connection goes on`()
        async throws
    {
        let huge = Value.string(String(repeating: "x", count: 262_144))
        try await connected { call in
            if call.procedure == "emit" { try await call.emit(huge) }
            return call.procedure == "reply" ? huge : true
        } _: { caller, _ in
            #expect(await problemCode { _ = try await caller.call("x", huge) } == .tooLarge)
            #expect(await problemCode { _ = try await caller.call("reply") } == .tooLarge)
            #expect(await problemCode { _ = try await caller.call("emit") } == .tooLarge)
            let answer = try await caller.call("x")
            #expect(answer == true)
        }
    }

    @Test func `A side without handler answers that it knows no procedure`() async throws {
        let (left, right) = PipeByteStream.pair()
        let caller = CallConnection(stream: left, hello: Hello(software: "caller"), side: .caller)
        let callee = CallConnection(stream: right, hello: Hello(software: "callee"), side: .callee)
        try await withDeadline {
            async let one: Void = caller.run()
            async let other: Void = callee.run()
            #expect(await problemCode { _ = try await caller.call("x") } == .unknownProcedure)
            await caller.close()
            try await one
            try await other
        }
    }

    @Test func `What the end of the peer means is said by who knows it, and our own end by us`() async throws {
        let loss = Problem(.connectionLost, "The daemon has ended.")
        let own = Problem(.connectionLost, "The session was given up.")
        let plain = Problem(.connectionLost, "The other side closed the connection while this was under way.")
        for (isPeer, expected) in [(true, loss), (false, own)] {
            let (left, right) = PipeByteStream.pair()
            let hello = Hello(software: "test")
            let caller = CallConnection(stream: left, hello: hello, side: .caller, loss: loss)
            let callee = CallConnection(stream: right, hello: hello, side: .callee)
            try await withDeadline {
                async let one: Void? = try? caller.run()
                async let other: Void? = try? callee.run()
                _ = try await caller.peerHello()
                _ = try await callee.peerHello()
                // Neither side tells the other why.
                if isPeer { await callee.close() } else { await caller.close(own, goodbye: false) }
                await #expect(throws: expected) { _ = try await caller.call("x") }
                if !isPeer {
                    // It has read the end, and not only failed to write.
                    _ = await other
                    await #expect(throws: plain) { _ = try await callee.ping() }
                }
                _ = await (one, other)
            }
        }
    }

    // MARK: Pings

    @Test func `A ping is answered while every handler is busy and nobody reads its events`() async throws {
        try await connected { call in
            while true { try await call.emit(.string(String(repeating: "x", count: 10_000))) }
        } _: { caller, callee in
            var calls: [OutgoingCall] = []
            for _ in 0..<20 { calls.append(try await caller.open("flood")) }
            #expect(try await caller.ping() > .zero)
            #expect(try await callee.ping() > .zero)
            withExtendedLifetime(calls) {}
        }
    }

    @Test func `A ping that is cancelled leaves the next one right`() async throws {
        try await connected { _ in
            true
        } _: { caller, _ in
            let task = Task { try await caller.ping() }
            task.cancel()
            _ = try? await task.value
            let answer = try await caller.ping()
            #expect(answer > .zero)
        }
    }

    // MARK: Cancellation

    @Test func `Cancelling the waiting task cancels the handler, and the caller does not wait for it`() async throws {
        let started = Signal()
        let cancelled = Signal()
        try await connected { _ in
            started.set()
            do {
                try await Task.sleep(for: .seconds(60))
            } catch {
                cancelled.set()
                throw error
            }
            return .null
        } _: { caller, _ in
            let task = Task { try await caller.call("sleep") }
            await started.wait()
            task.cancel()
            await #expect(throws: CancellationError.self) { _ = try await task.value }
            await cancelled.wait()
        }
    }

    @Test func `After a cancel the call still ends with the callee's answer`() async throws {
        try await connected { call in
            try await call.emit("ready")
            do {
                try await Task.sleep(for: .seconds(60))
            } catch {
                return ["signal": "TERM"]
            }
            return .null
        } _: { caller, _ in
            let call = try await caller.open("exec")
            var events = call.events.makeAsyncIterator()
            #expect(await events.next() == .event("ready"))
            call.cancel()
            call.cancel()
            #expect(try await call.result() == ["signal": "TERM"])
        }
    }

    @Test func `A cancelled handler that knows nothing better answers cancelled`() async throws {
        try await connected { call in
            try await call.emit("ready")
            try await Task.sleep(for: .seconds(60))
            return .null
        } _: { caller, _ in
            let call = try await caller.open("exec")
            var events = call.events.makeAsyncIterator()
            _ = await events.next()
            call.cancel()
            #expect(await problemCode { _ = try await call.result() } == .cancelled)
        }
    }

    @Test func `A call that nobody holds any more is cancelled`() async throws {
        let cancelled = Signal()
        try await connected { call in
            defer { cancelled.set() }
            while true { try await call.emit("tick") }
        } _: { caller, _ in
            _ = try await caller.open("tick")
            await cancelled.wait()
            #expect(try await caller.ping() > .zero)
        }
    }

    @Test func `Cancelling the task that reads events ends the sequence`() async throws {
        try await connected { call in
            try await call.emit("first")
            try await Task.sleep(for: .seconds(60))
            return .null
        } _: { caller, _ in
            let call = try await caller.open("watch")
            let first = Signal()
            let task = Task {
                var count = 0
                for await _ in call.events {
                    count += 1
                    first.set()
                }
                return count
            }
            await first.wait()
            task.cancel()
            #expect(await task.value == 1)
        }
    }

    // MARK: Back-pressure

    @Test func `A slow reader holds the emitter at its credit`() async throws {
        let emitted = Mutex(0)
        let blocked = Signal()
        let event = Value.string(String(repeating: "x", count: 100))
        try await connected(callerHello: Hello(software: "slow", credit: 2_000)) { call in
            for _ in 0..<100 {
                if !call.canEmit, emitted.withLock({ $0 }) >= 18 { blocked.set() }
                try await call.emit(event)
                emitted.withLock { $0 += 1 }
            }
            return .null
        } _: { caller, _ in
            let call = try await caller.open("watch")
            await blocked.wait()
            // 111 bytes each: the 19th overdraws the 2,000.
            #expect(emitted.withLock { $0 } == 19)
            // An answer from the other side is behind everything that it had sent.
            _ = try await caller.ping()
            #expect(emitted.withLock { $0 } == 19)
            var count = 0
            for await _ in call.events { count += 1 }
            #expect(count == 100)
        }
    }

    @Test func `A slow reader gets fewer and newer events where the callee waits until it is ready`() async throws {
        let newest = Mutex<Int64>(0)
        try await connected(callerHello: Hello(software: "slow", credit: 1_024)) { call in
            while newest.withLock({ $0 }) < 10_000 {
                try await call.ready()
                let state = newest.withLock { newest in
                    newest += 100
                    return newest
                }
                try await call.emit(["state": .int(state), "filler": .string(String(repeating: "x", count: 500))])
            }
            return .int(newest.withLock { $0 })
        } _: { caller, _ in
            let call = try await caller.open("watch")
            var last: Int64 = 0
            for await input in call.events {
                guard case .event(let event) = input, let state = event["state"]?.int else { continue }
                #expect(state > last)
                last = state
            }
            #expect(try await call.result() == .int(last))
        }
    }

    @Test func `An event that nobody reads does not hold back a plain call`() async throws {
        try await connected(callerHello: Hello(software: "caller", credit: 1_024)) { call in
            for _ in 0..<1_000 { try await call.emit("note") }
            return "done"
        } _: { caller, _ in
            let answer = try await caller.call("work")
            #expect(answer == "done")
        }
    }

    @Test func `A call whose data nobody reads holds back no other call`() async throws {
        try await connected { call in
            if call.procedure == "deaf" { try await Task.sleep(for: .seconds(60)) }
            return call.arguments
        } _: { caller, _ in
            let deaf = try await caller.open("deaf")
            let sender = Task { try await deaf.send(ByteBuffer(repeating: 0, count: 10_000_000), lane: 0) }
            for number in 0..<50 as Range<Int64> {
                #expect(try await caller.call("echo", .int(number)) == .int(number))
            }
            sender.cancel()
            await #expect(throws: CancellationError.self) { try await sender.value }
        }
    }

    @Test func `Sending to a call that has ended does nothing`() async throws {
        try await connected { _ in
            "early"
        } _: { caller, _ in
            let call = try await caller.open("head")
            #expect(try await call.result() == "early")
            try await call.send(ByteBuffer(repeating: 0, count: 1_000_000), lane: 0)
            try await call.end(lane: 0)
        }
    }
}
