package import NIOCore
package import Notation
package import Wire

/// Answers the peer's calls.
package protocol CallHandler: Sendable {
    /// Returns the reply, or throws a `Problem` to fail; any other error is an internal fault to the caller.
    ///
    /// Runs in a task of its own, which is cancelled when the caller cancels or the connection ends.
    func handle(_ call: IncomingCall) async throws -> Value
}

/// A call that the peer made; of use only until its handler returns.
package final class IncomingCall: Sendable {
    package let procedure: String
    package let arguments: Value
    let id: UInt32
    private let connection: CallConnection

    init(_ procedure: String, _ arguments: Value, id: UInt32, connection: CallConnection) {
        self.procedure = procedure
        self.arguments = arguments
        self.id = id
        self.connection = connection
    }

    /// What the caller said of itself.
    package var caller: Hello {
        get async throws { try await connection.peerHello() }
    }

    /// Data and ends of lanes from the caller; not reading them holds the caller back.
    package var inputs: CallInputs { CallInputs(connection: connection, id: id) }

    /// True where the caller has already said that nothing comes on this lane, and that is still to be read.
    package func hasEnded(lane: UInt8) -> Bool { connection.hasEnded(lane: lane, on: id) }

    /// Sends an event once there is credit for it and room in the queue.
    ///
    /// Throws `CancellationError` when the caller gives up, a `Problem` where the event is too large or the connection
    /// was lost. One sender at a time, where their order matters.
    package func emit(_ event: Value) async throws { try await connection.emit([event], on: id) }

    /// Sends events one behind the other, in one write where there is credit for all of them.
    package func emit(_ events: [Value]) async throws { try await connection.emit(events, on: id) }

    /// Returns when `emit` would not wait: the moment to work out the newest state and send only that.
    package func ready() async throws { try await connection.ready(id) }

    /// True where `emit` would not wait.
    package var canEmit: Bool { connection.canEmit(id) }

    /// Bytes of events and data that may be sent now; the frame that uses it up may overdraw it.
    package var credit: Int { connection.credit(id) }

    /// Sends data on a lane, in pieces, each as soon as there is credit for it.
    package func send(_ bytes: ByteBuffer, lane: UInt8) async throws {
        try await connection.send(bytes, lane: lane, on: id)
    }

    /// Holds back what is sent from now on for a moment, in which the answer may come: then all of it leaves in one write.
    ///
    /// The limit is, most often, the time from a program's last words to its end.
    package func gather(within limit: Duration = .milliseconds(5)) { connection.gather(id, within: limit) }

    package func end(lane: UInt8) async throws { try await connection.end(lane: lane, on: id) }
}
