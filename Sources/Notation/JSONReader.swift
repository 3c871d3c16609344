/// Reads one JSON text from a buffer, in one pass and with limited nesting.
struct JSONReader {
    /// The longest number in bytes; more digits carry nothing that a double holds.
    private static let longestNumber = 1_024
    /// The powers of ten that a double holds exactly.
    private static let exactPowers: [Double] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
        1e20, 1e21, 1e22,
    ]

    let bytes: UnsafeRawBufferPointer
    let limits: NotationLimits
    let lenient: Bool
    /// The entry whose items are handed out instead of kept. Its owner outlives the reader, which so stays a plain
    /// structure: a reference in it costs every step, and the optimizer of Swift 6.3 its footing.
    var items: Unmanaged<Items>?
    private var position = 0
    private var elements = 0

    /// An entry of an object, and who takes the items of its array.
    final class Items {
        let key: String
        let take: (Value) -> Void

        init(key: String, take: @escaping (Value) -> Void) {
            self.key = key
            self.take = take
        }
    }

    init(bytes: UnsafeRawBufferPointer, limits: NotationLimits, lenient: Bool) {
        self.bytes = bytes
        self.limits = limits
        self.lenient = lenient
    }

    /// The whole text: one value with white space around it.
    mutating func text() throws(NotationError) -> Value {
        let value = try self.value(depth: 0)
        skipSpace()
        guard position == bytes.count else {
            throw NotationError(.malformed, "something follows the end of the JSON value", at: position)
        }
        return value
    }

    private mutating func value(depth: Int) throws(NotationError) -> Value {
        skipSpace()
        switch try peek() {
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
        case UInt8(ascii: "["): return try array(depth: depth + 1)
        case UInt8(ascii: "{"): return try map(depth: depth + 1)
        case UInt8(ascii: "t"):
            try word("true")
            return .bool(true)
        case UInt8(ascii: "f"):
            try word("false")
            return .bool(false)
        case UInt8(ascii: "n"):
            try word("null")
            return .null
        default:
            throw NotationError(.malformed, "a JSON value cannot begin with this byte", at: position)
        }
    }

    // MARK: Containers

    private mutating func array(depth: Int) throws(NotationError) -> Value {
        try enter(depth)
        if try skipTo(UInt8(ascii: "]")) { return .array([]) }
        var items: [Value] = []
        while true {
            try count()
            items.append(try value(depth: depth))
            if try separator(end: UInt8(ascii: "]")) { return .array(items) }
        }
    }

    private mutating func map(depth: Int) throws(NotationError) -> Value {
        try enter(depth)
        if try skipTo(UInt8(ascii: "}")) { return .map([:]) }
        var entries: [String: Value] = [:]
        while true {
            try count()
            skipSpace()
            guard try peek() == UInt8(ascii: "\"") else {
                throw NotationError(.malformed, "a JSON object needs a quoted name here", at: position)
            }
            let key = try string()
            skipSpace()
            guard try peek() == UInt8(ascii: ":") else {
                throw NotationError(.malformed, "a colon is missing after a name in a JSON object", at: position)
            }
            position += 1
            if let items = items?.takeUnretainedValue(), items.key == key {
                entries[key] = try handingOut(items.take, depth: depth)
            } else {
                entries[key] = try value(depth: depth)
            }
            if try separator(end: UInt8(ascii: "}")) { return .map(entries) }
        }
    }

    /// An array of the depth below, emptied item by item; any other value as it is.
    private mutating func handingOut(_ take: (Value) -> Void, depth: Int) throws(NotationError) -> Value {
        skipSpace()
        guard try peek() == UInt8(ascii: "[") else { return try value(depth: depth) }
        try enter(depth + 1)
        if try skipTo(UInt8(ascii: "]")) { return .array([]) }
        while true {
            try count()
            take(try value(depth: depth + 1))
            if try separator(end: UInt8(ascii: "]")) { return .array([]) }
        }
    }

    /// Steps over the opening bracket.
    private mutating func enter(_ depth: Int) throws(NotationError) {
        guard depth <= limits.depth else {
            throw NotationError(.overLimit, "JSON is nested deeper than \(limits.depth)", at: position)
        }
        position += 1
    }

    private mutating func count() throws(NotationError) {
        elements += 1
        guard elements <= limits.elements else {
            throw NotationError(.overLimit, "JSON has more than \(limits.elements) elements", at: position)
        }
    }

    /// Whether the next byte is this one, which is then passed.
    private mutating func skipTo(_ byte: UInt8) throws(NotationError) -> Bool {
        skipSpace()
        guard try peek() == byte else { return false }
        position += 1
        return true
    }

    /// Passes a comma (false) or the closing bracket (true).
    private mutating func separator(end: UInt8) throws(NotationError) -> Bool {
        skipSpace()
        let byte = try peek()
        guard byte == end || byte == UInt8(ascii: ",") else {
            throw NotationError(.malformed, "a comma or the closing bracket is missing", at: position)
        }
        position += 1
        return byte == end
    }

    // MARK: Strings

    private mutating func string() throws(NotationError) -> String {
        let start = position + 1
        var index = start
        let end = bytes.count
        while index < end {
            let byte = bytes[index]
            if byte == UInt8(ascii: "\"") {
                position = index + 1
                return try checked(UnsafeRawBufferPointer(rebasing: bytes[start..<index]), at: start)
            }
            if byte == UInt8(ascii: "\\") { return try escapedString(start: start, firstEscape: index) }
            if byte < 0x20 {
                throw NotationError(.malformed, "a control character stands unescaped in a string", at: index)
            }
            index += 1
        }
        throw NotationError(.truncated, "a JSON string does not end", at: end)
    }

    /// A string with escapes, copied together run by run.
    private mutating func escapedString(start: Int, firstEscape: Int) throws(NotationError) -> String {
        var text: [UInt8] = []
        text.append(contentsOf: bytes[start..<firstEscape])
        position = firstEscape
        while true {
            let runStart = position
            while position < bytes.count, bytes[position] >= 0x20, bytes[position] != UInt8(ascii: "\""),
                bytes[position] != UInt8(ascii: "\\")
            { position += 1 }
            if position > runStart { text.append(contentsOf: bytes[runStart..<position]) }
            guard position < bytes.count else {
                throw NotationError(.truncated, "a JSON string does not end", at: position)
            }
            switch bytes[position] {
            case UInt8(ascii: "\""):
                position += 1
                return try text.withUnsafeBufferPointer { (buffer) throws(NotationError) in
                    try checked(UnsafeRawBufferPointer(buffer), at: start)
                }
            case UInt8(ascii: "\\"):
                position += 1
                try escape(into: &text)
            default:
                throw NotationError(.malformed, "a control character stands unescaped in a string", at: position)
            }
        }
    }

    private mutating func escape(into text: inout [UInt8]) throws(NotationError) {
        let byte = try peek()
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0C)
        case UInt8(ascii: "n"): text.append(0x0A)
        case UInt8(ascii: "r"): text.append(0x0D)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"): text.append(contentsOf: String(try escapedScalar()).utf8)
        default: throw NotationError(.malformed, "JSON has no such escape", at: position - 1)
        }
    }

    /// The scalar after `\u`, of one escape or of a surrogate pair.
    private mutating func escapedScalar() throws(NotationError) -> Unicode.Scalar {
        let start = position - 2
        let first = try hex()
        if let scalar = Unicode.Scalar(first) { return scalar }
        // A low surrogate may follow a high one only; otherwise what follows is left for the next round.
        if first < 0xDC00, position + 1 < bytes.count, bytes[position] == UInt8(ascii: "\\"),
            bytes[position + 1] == UInt8(ascii: "u")
        {
            let next = position
            position += 2
            let second = try hex()
            if (0xDC00...0xDFFF).contains(second),
                let scalar = Unicode.Scalar(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00))
            {
                return scalar
            }
            position = next
        }
        guard lenient else {
            throw NotationError(.notText, "half a surrogate pair is not text", at: start)
        }
        return "\u{FFFD}"
    }

    private mutating func hex() throws(NotationError) -> UInt32 {
        var number: UInt32 = 0
        for _ in 0..<4 {
            let digit: UInt8
            switch try peek() {
            case let byte where (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte): digit = byte - 0x30
            case let byte where (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte): digit = byte - 0x61 + 10
            case let byte where (UInt8(ascii: "A")...UInt8(ascii: "F")).contains(byte): digit = byte - 0x41 + 10
            default: throw NotationError(.malformed, "four hexadecimal digits must follow \\u", at: position)
            }
            number = number << 4 | UInt32(digit)
            position += 1
        }
        return number
    }

    private func checked(_ text: UnsafeRawBufferPointer, at offset: Int) throws(NotationError) -> String {
        guard let string = String(validating: text.assumingMemoryBound(to: UInt8.self), as: UTF8.self) else {
            throw NotationError(.notText, "a JSON string is not UTF-8", at: offset)
        }
        return string
    }

    // MARK: Numbers and words

    private mutating func number() throws(NotationError) -> Value {
        let start = position
        let negative = bytes[position] == UInt8(ascii: "-")
        if negative { position += 1 }
        var digits = NumberDigits()
        if try peek() == UInt8(ascii: "0") {
            position += 1
            if position < bytes.count, isDigit(bytes[position]) {
                throw NotationError(.malformed, "a JSON number has a leading zero", at: start)
            }
        } else {
            try digitRun(&digits)
        }
        var whole = true
        var exponent = 0
        if position < bytes.count, bytes[position] == UInt8(ascii: ".") {
            whole = false
            position += 1
            let pointAt = position
            try digitRun(&digits)
            exponent = pointAt - position
        }
        if position < bytes.count, bytes[position] | 0x20 == UInt8(ascii: "e") {
            whole = false
            exponent += try exponentPart()
        }
        guard position - start <= Self.longestNumber else {
            throw NotationError(.outOfRange, "a JSON number has more than \(Self.longestNumber) bytes", at: start)
        }
        if whole { return .int(try integer(digits, negative: negative, at: start)) }
        return .double(try double(digits, negative: negative, exponent: exponent, start: start))
    }

    private mutating func digitRun(_ digits: inout NumberDigits) throws(NotationError) {
        guard isDigit(try peek()) else {
            throw NotationError(.malformed, "a JSON number lacks a digit here", at: position)
        }
        while position < bytes.count, isDigit(bytes[position]) {
            digits.append(bytes[position] - 0x30)
            position += 1
        }
    }

    private mutating func exponentPart() throws(NotationError) -> Int {
        position += 1
        let sign = try peek()
        if sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") { position += 1 }
        var digits = NumberDigits()
        try digitRun(&digits)
        let size = digits.overflowed ? 1_000_000 : Int(min(digits.number, 1_000_000))
        return sign == UInt8(ascii: "-") ? -size : size
    }

    private func integer(_ digits: NumberDigits, negative: Bool, at start: Int) throws(NotationError) -> Int64 {
        let limit = UInt64(Int64.max) + (negative ? 1 : 0)
        guard !digits.overflowed, digits.number <= limit else {
            throw NotationError(.outOfRange, "an integer does not fit into 64 bits", at: start)
        }
        return negative ? Int64(truncatingIfNeeded: 0 &- digits.number) : Int64(digits.number)
    }

    private func double(
        _ digits: NumberDigits,
        negative: Bool,
        exponent: Int,
        start: Int
    ) throws(NotationError) -> Double {
        // Clinger's short cut: both factors are exact, so one rounding remains.
        if !digits.overflowed, digits.number <= 1 << 53, abs(exponent) < Self.exactPowers.count {
            let power = Self.exactPowers[abs(exponent)]
            let size = exponent < 0 ? Double(digits.number) / power : Double(digits.number) * power
            return negative ? -size : size
        }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        guard let number = Double(text), number.isFinite else {
            throw NotationError(.outOfRange, "a number is larger than a double holds", at: start)
        }
        return number
    }

    private mutating func word(_ word: StaticString) throws(NotationError) {
        let length = word.utf8CodeUnitCount
        let found = min(length, bytes.count - position)
        for index in 0..<found where bytes[position + index] != word.utf8Start[index] {
            throw NotationError(.malformed, "JSON knows no such word", at: position)
        }
        guard found == length else {
            throw NotationError(.truncated, "the JSON text ends within a word", at: bytes.count)
        }
        position += length
    }

    // MARK: Bytes

    private func isDigit(_ byte: UInt8) -> Bool { byte &- 0x30 < 10 }

    private mutating func skipSpace() {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x0A, 0x0D, 0x09: position += 1
            default: return
            }
        }
    }

    private func peek() throws(NotationError) -> UInt8 {
        guard position < bytes.count else {
            throw NotationError(.truncated, "the JSON text ends too early", at: position)
        }
        return bytes[position]
    }
}

/// The decimal digits of a number as an integer, until they overflow.
private struct NumberDigits {
    private(set) var number: UInt64 = 0
    private(set) var overflowed = false

    mutating func append(_ digit: UInt8) {
        let (product, tooLarge) = number.multipliedReportingOverflow(by: 10)
        let (sum, carried) = product.addingReportingOverflow(UInt64(digit))
        number = sum
        if tooLarge || carried { overflowed = true }
    }
}
