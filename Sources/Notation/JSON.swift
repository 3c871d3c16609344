/// JSON as RFC 8259 defines it, strict on reading and with sorted keys on writing.
package enum JSON {
    /// Reads exactly one JSON text. The last of two equal keys wins.
    ///
    /// - Parameter lenient: takes a lone surrogate escape for U+FFFD, since Transmission 3.00 writes them.
    package static func decode(
        _ bytes: UnsafeRawBufferPointer,
        limits: NotationLimits = .init(),
        lenient: Bool = false
    ) throws(NotationError) -> Value {
        var reader = JSONReader(bytes: bytes, limits: limits, lenient: lenient)
        return try reader.text()
    }

    /// Reads as `decode` does, but keeps no item of an array that is the entry `key` of an object: `take` gets them one by
    /// one, and the array of the result is empty. What it was given of a text that turns out to be faulty is void.
    package static func decode(
        _ bytes: UnsafeRawBufferPointer,
        lenient: Bool = false,
        itemsOf key: String,
        _ take: (Value) -> Void
    ) throws(NotationError) -> Value {
        var reader = JSONReader(bytes: bytes, limits: NotationLimits(), lenient: lenient)
        return try withoutActuallyEscaping(take) { (take) throws(NotationError) in
            let items = JSONReader.Items(key: key, take: take)
            defer { withExtendedLifetime(items) {} }
            reader.items = .passUnretained(items)
            return try reader.text()
        }
    }

    package static func decode(
        _ bytes: [UInt8],
        limits: NotationLimits = .init(),
        lenient: Bool = false
    ) throws(NotationError) -> Value {
        try bytes.withUnsafeBufferPointer { (buffer) throws(NotationError) in
            try decode(UnsafeRawBufferPointer(buffer), limits: limits, lenient: lenient)
        }
    }

    package static func decode(
        _ text: String,
        limits: NotationLimits = .init(),
        lenient: Bool = false
    ) throws(NotationError) -> Value {
        try decode(Array(text.utf8), limits: limits, lenient: lenient)
    }

    /// Appends the value. Bytes become a string of NUL and base64, as WAMP says; a double that is not finite becomes
    /// null, since JSON has no word for it.
    package static func encode(_ value: Value, into bytes: inout [UInt8]) {
        JSONWriter.write(value, into: &bytes)
    }

    package static func encode(_ value: Value) -> [UInt8] {
        var bytes: [UInt8] = []
        JSONWriter.write(value, into: &bytes)
        return bytes
    }

    /// The value for a person or a file; `pretty` breaks lines and indents by two spaces.
    package static func text(_ value: Value, pretty: Bool = false) -> String {
        var bytes: [UInt8] = []
        if pretty {
            JSONWriter.writePretty(value, indent: 0, into: &bytes)
        } else {
            JSONWriter.write(value, into: &bytes)
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
