package import Calls
package import NIOCore
import Synchronization

/// A byte stream that passes everything on and remembers what was written at a time.
package final class RecordedWrites: ByteStream {
    private let stream: any ByteStream
    private let log = Mutex<[ByteBuffer]>([])

    package init(_ stream: any ByteStream) { self.stream = stream }

    package var writes: [ByteBuffer] { log.withLock(\.self) }

    package func read() async throws -> ByteBuffer? { try await stream.read() }

    package func write(_ bytes: ByteBuffer) async throws {
        log.withLock { $0.append(bytes) }
        try await stream.write(bytes)
    }

    package func close() async { await stream.close() }
}
