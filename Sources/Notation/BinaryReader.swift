/// What CBOR and MessagePack share on reading: big-endian fields, text, and counts checked before memory is taken.
struct BinaryReader {
    /// The most elements for which memory is taken before they are seen.
    private static let mostReserved = 512

    let bytes: UnsafeRawBufferPointer
    let limits: NotationLimits
    private(set) var position = 0
    private var elements = 0

    init(bytes: UnsafeRawBufferPointer, limits: NotationLimits) {
        self.bytes = bytes
        self.limits = limits
    }

    /// How much memory an array or map of this declared length gets in advance.
    static func reserved(_ count: Int) -> Int { min(count, mostReserved) }

    var isAtEnd: Bool { position == bytes.count }

    mutating func byte() throws(NotationError) -> UInt8 {
        guard position < bytes.count else { throw ended() }
        defer { position += 1 }
        return bytes[position]
    }

    func peek() throws(NotationError) -> UInt8 {
        guard position < bytes.count else { throw ended() }
        return bytes[position]
    }

    mutating func integer<Number: FixedWidthInteger>(_: Number.Type) throws(NotationError) -> Number {
        let size = Number.bitWidth / 8
        guard bytes.count - position >= size else { throw ended() }
        defer { position += size }
        return Number(bigEndian: bytes.loadUnaligned(fromByteOffset: position, as: Number.self))
    }

    mutating func span(_ count: UInt64) throws(NotationError) -> UnsafeRawBufferPointer {
        guard count <= UInt64(bytes.count - position) else { throw ended() }
        defer { position += Int(count) }
        return UnsafeRawBufferPointer(rebasing: bytes[position..<position + Int(count)])
    }

    mutating func text(_ count: UInt64) throws(NotationError) -> String {
        let start = position
        let span = try span(count)
        guard let text = String(validating: span.assumingMemoryBound(to: UInt8.self), as: UTF8.self) else {
            throw NotationError(.notText, "a text is not UTF-8", at: start)
        }
        return text
    }

    /// Admits a container of this many elements, each of at least `size` bytes.
    mutating func enter(_ count: UInt64, size: UInt64, depth: Int) throws(NotationError) -> Int {
        try checkDepth(depth)
        guard count <= UInt64(bytes.count - position) / size else { throw ended() }
        guard count <= UInt64(max(0, limits.elements - elements)) else { throw tooMany() }
        elements += Int(count)
        return Int(count)
    }

    /// Admits one more element of a container whose length was not declared.
    mutating func countOne() throws(NotationError) {
        elements += 1
        guard elements <= limits.elements else { throw tooMany() }
    }

    func checkDepth(_ depth: Int) throws(NotationError) {
        guard depth <= limits.depth else {
            throw NotationError(.overLimit, "the value is nested deeper than \(limits.depth)", at: position)
        }
    }

    func checkEnd() throws(NotationError) {
        guard isAtEnd else { throw NotationError(.malformed, "something follows the end of the value", at: position) }
    }

    private func ended() -> NotationError {
        NotationError(.truncated, "the bytes end before the value does", at: bytes.count)
    }

    private func tooMany() -> NotationError {
        NotationError(.overLimit, "the value has more than \(limits.elements) elements", at: position)
    }
}

extension [UInt8] {
    /// Appends an integer with its most significant byte first.
    mutating func append(bigEndian number: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: number.bigEndian) { append(contentsOf: $0) }
    }

    /// Appends the UTF-8 of a text.
    mutating func append(utf8 text: String) {
        var text = text
        text.withUTF8 { append(contentsOf: $0) }
    }
}
