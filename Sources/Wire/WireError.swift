/// Why a stream is not the protocol of `Docs/Wire.md`; every one of them ends the connection.
package struct WireError: Error, Hashable, CustomStringConvertible {
    package enum Code: String, Sendable {
        /// The stream does not begin with the preamble; `received` has its first bytes.
        case notFarseed
        /// The stream ended before the preamble and the hello were there; `received` has what came.
        case notGreeted
        /// The stream ended within a frame.
        case truncated
        /// A frame's length is outside the bounds.
        case badLength
        /// A frame's type is none that this version knows.
        case unknownType
        /// A frame's payload does not decode.
        case malformed
        /// A legal frame that its sender may not send, or not now.
        case misplaced
        /// A frame for a call that never was.
        case unknownCall
        /// More bytes than there was credit for.
        case overCredit
        /// The two sides have no protocol version in common.
        case incompatible
        /// The peer makes this side hold more than it is willing to.
        case overLimit
    }

    package var code: Code
    /// What was found, for a person.
    package var message: String
    /// The stream's first bytes, at most `FrameDecoder.maximumReceived`. Whoever shows them neutralises them.
    package var received: [UInt8]

    package init(_ code: Code, _ message: String, received: [UInt8] = []) {
        self.code = code
        self.message = message
        self.received = received
    }

    package var description: String { message }

    /// What the goodbye says that ends the connection; nil where the stream is not one to say goodbye on.
    package var goodbye: WireFailure? {
        switch code {
        case .notFarseed, .notGreeted, .truncated: nil
        case .incompatible: WireFailure(code: "agent-incompatible", message: message)
        case .overLimit: WireFailure(code: "too-large", message: message)
        case .badLength, .unknownType, .malformed, .misplaced, .unknownCall, .overCredit:
            WireFailure(code: "bad-request", message: message)
        }
    }
}

/// A code word of the closed list and a sentence, as they travel in failures and goodbyes.
package struct WireFailure: Error, Sendable, Hashable {
    package var code: String
    package var message: String

    package init(code: String, message: String) {
        self.code = code
        self.message = message
    }
}
