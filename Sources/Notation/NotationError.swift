/// Why bytes are not the notation they claim to be, or hold more than the reader allows.
package struct NotationError: Error, Hashable, CustomStringConvertible {
    package enum Code: String, Sendable {
        /// The bytes end before the value does.
        case truncated
        /// Bytes that the notation does not allow, or bytes after the value.
        case malformed
        /// A string that is not UTF-8.
        case notText
        /// A number that no 64-bit integer or double holds.
        case outOfRange
        /// Nested deeper, longer or with more elements than the limits allow.
        case overLimit
        /// A legal value outside what `Value` expresses, such as a map key that is no text.
        case unsupported
    }

    package var code: Code
    /// What was found, for a person.
    package var message: String
    /// Where, counted in bytes from the start.
    package var offset: Int

    package init(_ code: Code, _ message: String, at offset: Int) {
        self.code = code
        self.message = message
        self.offset = offset
    }

    package var description: String { "\(message) at byte \(offset)" }
}

/// What a decoder takes before it gives up; checked before memory is taken.
package struct NotationLimits: Sendable {
    /// The deepest nesting of arrays and maps.
    package var depth: Int
    /// The most elements of all arrays and maps together.
    package var elements: Int

    package init(depth: Int = 64, elements: Int = 4_000_000) {
        self.depth = depth
        self.elements = elements
    }
}
