package import NIOCore
package import Notation

/// A call that we made. Letting go of it cancels it.
package final class OutgoingCall: Sendable {
    package let procedure: String
    let id: UInt32
    private let connection: CallConnection

    init(_ procedure: String, id: UInt32, connection: CallConnection) {
        self.procedure = procedure
        self.id = id
        self.connection = connection
    }

    deinit { connection.abandon(id) }

    /// Events, data and ends of lanes; not reading them holds the callee back.
    package var events: CallInputs { CallInputs(connection: connection, id: id, call: self) }

    /// Sends data on a lane, in pieces, each as soon as there is credit for it.
    ///
    /// Returns once the last is queued; does nothing where the call or lane has ended. One sender per lane at a time.
    package func send(_ bytes: ByteBuffer, lane: UInt8) async throws {
        try await connection.send(bytes, lane: lane, on: id)
    }

    package func end(lane: UInt8) async throws { try await connection.end(lane: lane, on: id) }

    /// The reply; throws the callee's `Problem`, or one that says that the connection was lost.
    ///
    /// Where the waiting task is cancelled, so is the call, without waiting for the callee.
    package func result() async throws -> Value { try await connection.result(id) }

    /// Asks the callee to stop; the call ends when it answers, or does so as if nothing had been said.
    package func cancel() { connection.cancel(id) }
}
