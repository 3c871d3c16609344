// The byte stream over real channels: a TCP connection on loopback, and pipes.
import Calls
import Foundation
import NIOCore
import NIOPosix
import Notation
import Seedbox
import Synchronization
import TestSupport
import Testing
import Wire

@Suite struct ChannelByteStreamTests {
    private static let group = MultiThreadedEventLoopGroup.singleton

    /// Both ends of a connection on a unix socket of its own.
    private func pair() async throws -> (ChannelByteStream, ChannelByteStream) {
        let path = FileManager.default.temporaryDirectory.appending(path: "calls-\(UUID().uuidString).sock").path
        let accepted = Mutex<EventLoopFuture<ChannelByteStream>?>(nil)
        let there = Signal()
        let server = try await ServerBootstrap(group: Self.group)
            .childChannelOption(.autoRead, value: false)
            .childChannelInitializer { channel in
                let stream = ChannelByteStream.install(on: channel)
                accepted.withLock { $0 = stream }
                there.set()
                return stream.map { _ in }
            }
            .bind(unixDomainSocketPath: path).get()
        let client = try await ClientBootstrap(group: Self.group)
            .channelOption(.autoRead, value: false)
            .connect(unixDomainSocketPath: path).get()
        let near = try await ChannelByteStream.install(on: client).get()
        await there.wait()
        let far = try #require(accepted.withLock { $0 })
        try await server.close()
        try? FileManager.default.removeItem(atPath: path)
        return (near, try await far.get())
    }

    @Test func `Bytes arrive and the end is nil`() async throws {
        try await withDeadline {
            let (near, far) = try await self.pair()
            try await near.write(ByteBuffer(string: "hello"))
            #expect(try await far.read() == ByteBuffer(string: "hello"))
            await near.close()
            #expect(try await far.read() == nil)
            #expect(try await far.read() == nil)
            await far.close()
        }
    }

    @Test func `What was sent before a close is still read`() async throws {
        try await withDeadline {
            let (near, far) = try await self.pair()
            let sent = ByteBuffer(repeating: 7, count: 100_000)
            let writing = Task {
                try await near.write(sent)
                await near.close()
            }
            var received = ByteBuffer()
            while let bytes = try await far.read() { received.writeImmutableBuffer(bytes) }
            #expect(received == sent)
            try await writing.value
            await far.close()
        }
    }

    @Test func `A write waits while nobody reads, and a close ends it`() async throws {
        try await withDeadline {
            let (near, far) = try await self.pair()
            let written = Mutex(0)
            let writing = Task {
                for _ in 0..<1_000 {
                    try await near.write(ByteBuffer(repeating: 0, count: 100_000))
                    written.withLock { $0 += 1 }
                }
            }
            for _ in 0..<2_000 { await Task.yield() }
            await near.close()
            await #expect(throws: (any Error).self) { try await writing.value }
            #expect(written.withLock { $0 } < 100)
            await far.close()
        }
    }

    @Test func `A read obeys cancellation and loses nothing`() async throws {
        try await withDeadline {
            let (near, far) = try await self.pair()
            for number in 0..<100 {
                let reading = Task { try await far.read() }
                if number.isMultiple(of: 2) { await Task.yield() }
                reading.cancel()
                await #expect(throws: CancellationError.self) { try await reading.value }
            }
            try await near.write(ByteBuffer(string: "still here"))
            #expect(try await far.read() == ByteBuffer(string: "still here"))
            await near.close()
            await far.close()
        }
    }

    @Test func `A read that waits ends with a close on its own side`() async throws {
        try await withDeadline {
            let (near, far) = try await self.pair()
            let reading = Task { try await near.read() }
            await near.close()
            #expect(try await reading.value == nil)
            await far.close()
        }
    }

    @Test func `Calls run over a socket`() async throws {
        try await connected(streams: try await pair()) { call in
            try await call.emit("event")
            return call.arguments
        } _: { caller, _ in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<1_000 as Range<Int64> {
                    group.addTask {
                        let answer = try await caller.call("echo", .int(number))
                        #expect(answer == .int(number))
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    @Test func `A goodbye over a socket arrives although the peer had sent more than was read`() async throws {
        try await connected(streams: try await pair()) { call in
            while true { try await call.emit("tick") }
        } _: { caller, callee in
            let call = try await caller.open("tick")
            for await _ in call.events { break }
            await callee.close(Problem(.controllerOutdated, "A newer one is here."))
            #expect(await problemCode { _ = try await call.result() } == .controllerOutdated)
        }
    }

    @Test func `Calls run over a pair of pipes, as over standard input and output`() async throws {
        let (toCallee, toCaller) = (Pipe(), Pipe())
        func channel(input: Pipe, output: Pipe) async throws -> ChannelByteStream {
            // The bootstrap takes the descriptors over, and these objects close their own.
            let channel = try await NIOPipeBootstrap(group: Self.group)
                .channelOption(.autoRead, value: false)
                .takingOwnershipOfDescriptors(
                    input: dup(input.fileHandleForReading.fileDescriptor),
                    output: dup(output.fileHandleForWriting.fileDescriptor)
                ).get()
            return try await ChannelByteStream.install(on: channel).get()
        }
        let near = try await channel(input: toCaller, output: toCallee)
        let far = try await channel(input: toCallee, output: toCaller)
        for pipe in [toCallee, toCaller] {
            try pipe.fileHandleForReading.close()
            try pipe.fileHandleForWriting.close()
        }
        try await connected(streams: (near, far)) { call in
            call.arguments
        } _: { caller, _ in
            let big = Value.bytes([UInt8](repeating: 1, count: 200_000))
            for _ in 0..<20 {
                let answer = try await caller.call("echo", big)
                #expect(answer == big)
            }
        }
    }
}
