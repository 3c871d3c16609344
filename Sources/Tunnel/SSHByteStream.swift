/// The agent's standard input and output as a byte stream; what it says on standard error is kept for the reason.
import Calls
import NIOCore
import SSH
import Synchronization

final class SSHByteStream: ByteStream {
    private let channel: SSHChannel
    private let errors = Mutex<[UInt8]>([])
    private let isAtEnd = Mutex(false)

    /// Bytes of standard error that are kept, from the last.
    private static let mostErrors = 2_048
    /// From the end of the output to the exit, which the server tells right after it.
    private static let untilExit = Duration.seconds(1)

    init(_ channel: SSHChannel) { self.channel = channel }

    /// The last of what came on standard error.
    var complaint: [UInt8] { errors.withLock { $0 } }

    func read() async throws -> ByteBuffer? {
        while let read = try await channel.read() {
            switch read {
            case .stdout(let bytes): return bytes
            case .stderr(let bytes):
                errors.withLock { errors in
                    errors += bytes.readableBytesView
                    if errors.count > Self.mostErrors { errors.removeFirst(errors.count - Self.mostErrors) }
                }
            }
        }
        isAtEnd.withLock { $0 = true }
        return nil
    }

    func write(_ bytes: ByteBuffer) async throws { try await channel.write(bytes) }

    func close() async {
        // How the command ended is forgotten with the channel.
        if isAtEnd.withLock({ $0 }) {
            _ = try? await within(Self.untilExit, orThrow: CancellationError()) { [channel] in
                try await channel.exit()
            }
        }
        channel.abandon()
    }
}
