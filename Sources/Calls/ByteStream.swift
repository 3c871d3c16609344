package import NIOCore

/// A two-way stream of bytes with back-pressure: what a connection runs over.
package protocol ByteStream: Sendable {
    /// The next bytes; nil at the end. One reader at a time; it obeys cancellation, and ends when the stream is closed.
    func read() async throws -> ByteBuffer?
    /// Returns once the bytes were accepted, and the next may be. One writer at a time; fails when closed.
    func write(_ bytes: ByteBuffer) async throws
    /// Ends both directions; what was accepted is still delivered where it can be. More than once does no harm.
    func close() async
}
