package import NIOCore
package import Notation

/// What comes in on a call besides its answer.
package enum CallInput: Sendable, Hashable {
    case event(Value)
    case data(lane: UInt8, ByteBuffer)
    /// No more data on this lane.
    case end(lane: UInt8)
}

/// The inputs of one call, in order; taking them grants the peer the credit for more.
///
/// It ends with the call, whatever its outcome, or when the reading task is cancelled. One reader at a time.
package struct CallInputs: AsyncSequence, Sendable {
    package typealias Element = CallInput
    package typealias Failure = Never

    let connection: CallConnection
    let id: UInt32
    /// Keeps an outgoing call alive, which is cancelled when nobody holds it.
    var call: OutgoingCall?

    package struct AsyncIterator: AsyncIteratorProtocol {
        let inputs: CallInputs

        package mutating func next() async -> CallInput? { await inputs.connection.nextInput(inputs.id) }
    }

    package func makeAsyncIterator() -> AsyncIterator { AsyncIterator(inputs: self) }
}
