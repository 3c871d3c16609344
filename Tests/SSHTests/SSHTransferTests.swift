import NIOCore
import NIOPosix
import Synchronization
import TestSupport
import Testing

@testable import SSH

/// Many bytes through a real sshd, also while it asks for new keys all the time.
@Suite(.serialized) struct SSHTransferTests {
    /// Repeats with a prime period, so that no packet size hides a shift.
    private struct Pattern {
        static let period = 65_521
        private let twice: ByteBuffer

        init() {
            let bytes = (0..<2 * Self.period).map { UInt8(truncatingIfNeeded: ($0 % Self.period) &* 0x9E37_79B1 >> 13) }
            twice = ByteBuffer(bytes: bytes)
        }

        /// At most a period of bytes from a position on.
        func bytes(at position: Int, count: Int) -> ByteBuffer {
            twice.getSlice(at: position % Self.period, length: min(count, Self.period))!
        }
    }

    /// Sends `size` bytes and counts those that come back as they should.
    private func echo(_ connection: SSHConnection, size: Int) async throws -> Int {
        let channel = try await connection.exec("cat")
        return try await withThrowingTaskGroup(of: Int.self) { group in
            let pattern = Pattern()
            group.addTask {
                var sent = 0
                while sent < size {
                    let bytes = pattern.bytes(at: sent, count: size - sent)
                    try await channel.write(bytes)
                    sent += bytes.readableBytes
                }
                try await channel.sendEOF()
                return 0
            }
            group.addTask {
                var position = 0
                while case .stdout(var bytes) = try await channel.read() {
                    while let expected = Optional(pattern.bytes(at: position, count: bytes.readableBytes)),
                        expected.readableBytes > 0
                    {
                        guard bytes.readSlice(length: expected.readableBytes) == expected else { return position }
                        position += expected.readableBytes
                    }
                }
                return position
            }
            return try await group.reduce(0, +)
        }
    }

    @Test func `A hundred megabytes go both ways`() async throws {
        let server = try SSHServer()
        let size = 100_000_000
        let received = try await within(180) { try await echo(Client.connect(server), size: size) }
        #expect(received == size)
    }

    @Test func `Re-keying each megabyte stops nothing`() async throws {
        let server = try SSHServer(["RekeyLimit 1M"])
        let size = 20_000_000
        let received = try await within(180) {
            let connection = try await Client.connect(server)
            return try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<3 { group.addTask { try await echo(connection, size: size) } }
                return try await group.reduce(0, +)
            }
        }
        #expect(received == 3 * size)
    }

    /// The amount after which a bulk session is given up anyway; sshd asks for new keys about two thousand times.
    @Test(.timeLimit(.minutes(10))) func `A gibibyte each way with a re-key each megabyte comes through`() async throws
    {
        let server = try SSHServer(["RekeyLimit 1M"])
        let received = try await within(580) { try await echo(Client.connect(server), size: 1 << 30) }
        #expect(received == 1 << 30)
    }

    @Test func `A reader that does not read holds back the server, and other channels go on`() async throws {
        let server = try SSHServer()
        try await within(60) {
            let connection = try await Client.connect(server) { $0.window = 256 << 10 }
            let file = "\(server.directory)/count"
            // Counts what it was able to write, in pieces of 32 KiB.
            let slow = try await connection.exec(
                "i=0; while dd if=/dev/zero bs=32768 count=1 2>/dev/null; do i=$((i+1)); echo $i > \(file); done"
            )
            guard case .stdout(let first) = try await slow.read() else { return #expect(Bool(false)) }
            #expect(first.readableBytes > 0)
            for number in 0..<10 { #expect(try await connection.output("echo \(number)").stdout == "\(number)\n") }
            let count = Int(try await connection.output("cat \(file)").stdout.dropLast()) ?? 0
            // The window, what the first read took, pipes and socket buffers.
            #expect(count < 128)
            await slow.close()
        }
    }
}
