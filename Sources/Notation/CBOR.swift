/// CBOR as RFC 8949 defines it; tags are passed over, and written are definite lengths only.
package enum CBOR {
    package static func decode(
        _ bytes: UnsafeRawBufferPointer,
        limits: NotationLimits = .init()
    ) throws(NotationError) -> Value {
        var reader = BinaryReader(bytes: bytes, limits: limits)
        let value = try value(&reader, depth: 0)
        try reader.checkEnd()
        return value
    }

    package static func decode(
        _ bytes: [UInt8],
        limits: NotationLimits = .init()
    ) throws(NotationError) -> Value {
        try bytes.withUnsafeBufferPointer { (buffer) throws(NotationError) in
            try decode(UnsafeRawBufferPointer(buffer), limits: limits)
        }
    }

    package static func encode(_ value: Value) -> [UInt8] {
        var bytes: [UInt8] = []
        encode(value, into: &bytes)
        return bytes
    }

    // MARK: Reading

    /// The byte that ends an item of indefinite length.
    private static let breakByte: UInt8 = 0xFF

    private static func value(_ reader: inout BinaryReader, depth: Int) throws(NotationError) -> Value {
        var start = reader.position
        var head = try reader.byte()
        // A tag says how to understand what follows; only big numbers would be misread without it.
        while head >> 5 == 6 {
            let tag = try argument(&reader, head, at: start)
            guard tag != 2, tag != 3 else {
                throw NotationError(.outOfRange, "CBOR big numbers do not fit into 64 bits", at: start)
            }
            start = reader.position
            head = try reader.byte()
        }
        let indefinite = head & 0x1F == 31
        switch head >> 5 {
        case 0:
            guard let number = Int64(exactly: try argument(&reader, head, at: start)) else { throw tooLarge(start) }
            return .int(number)
        case 1:
            guard let number = Int64(exactly: try argument(&reader, head, at: start)) else { throw tooLarge(start) }
            return .int(-1 - number)
        case 2:
            if indefinite { return .bytes(try chunks(&reader, major: 2)) }
            return .bytes(Array(try reader.span(try argument(&reader, head, at: start))))
        case 3:
            if indefinite { return .string(try textChunks(&reader)) }
            return .string(try reader.text(try argument(&reader, head, at: start)))
        case 4:
            let count = indefinite ? nil : try argument(&reader, head, at: start)
            return try array(&reader, count, depth: depth + 1)
        case 5:
            let count = indefinite ? nil : try argument(&reader, head, at: start)
            return try map(&reader, count, depth: depth + 1)
        default: return try simple(&reader, head, at: start)
        }
    }

    private static func simple(
        _ reader: inout BinaryReader,
        _ head: UInt8,
        at start: Int
    ) throws(NotationError) -> Value {
        switch head & 0x1F {
        case 20: return .bool(false)
        case 21: return .bool(true)
        case 22, 23: return .null
        case 24:
            guard try reader.byte() >= 32 else {
                throw NotationError(.malformed, "a CBOR simple value is written too long", at: start)
            }
            throw NotationError(.unsupported, "CBOR simple values without a meaning are not taken", at: start)
        case 25: return .double(half(try reader.integer(UInt16.self)))
        case 26: return .double(Double(Float(bitPattern: try reader.integer(UInt32.self))))
        case 27: return .double(Double(bitPattern: try reader.integer(UInt64.self)))
        case 0..<20: throw NotationError(.unsupported, "CBOR simple values without a meaning are not taken", at: start)
        case 31: throw NotationError(.malformed, "a CBOR break ends nothing here", at: start)
        default: throw NotationError(.malformed, "CBOR reserves this byte", at: start)
        }
    }

    private static func argument(
        _ reader: inout BinaryReader,
        _ head: UInt8,
        at start: Int
    ) throws(NotationError) -> UInt64 {
        switch head & 0x1F {
        case let small where small < 24: return UInt64(small)
        case 24: return UInt64(try reader.integer(UInt8.self))
        case 25: return UInt64(try reader.integer(UInt16.self))
        case 26: return UInt64(try reader.integer(UInt32.self))
        case 27: return try reader.integer(UInt64.self)
        default: throw NotationError(.malformed, "CBOR reserves this length", at: start)
        }
    }

    private static func atBreak(_ reader: inout BinaryReader) throws(NotationError) -> Bool {
        guard try reader.peek() == breakByte else { return false }
        _ = try reader.byte()
        return true
    }

    private static func array(
        _ reader: inout BinaryReader,
        _ declared: UInt64?,
        depth: Int
    ) throws(NotationError) -> Value {
        var items: [Value] = []
        guard let declared else {
            try reader.checkDepth(depth)
            while !(try atBreak(&reader)) {
                try reader.countOne()
                items.append(try value(&reader, depth: depth))
            }
            return .array(items)
        }
        let count = try reader.enter(declared, size: 1, depth: depth)
        items.reserveCapacity(BinaryReader.reserved(count))
        for _ in 0..<count { items.append(try value(&reader, depth: depth)) }
        return .array(items)
    }

    private static func map(
        _ reader: inout BinaryReader,
        _ declared: UInt64?,
        depth: Int
    ) throws(NotationError) -> Value {
        guard let declared else {
            try reader.checkDepth(depth)
            var entries: [String: Value] = [:]
            while !(try atBreak(&reader)) {
                try reader.countOne()
                let key = try key(&reader, depth: depth)
                entries[key] = try value(&reader, depth: depth)
            }
            return .map(entries)
        }
        let count = try reader.enter(declared, size: 2, depth: depth)
        var entries = [String: Value](minimumCapacity: BinaryReader.reserved(count))
        for _ in 0..<count {
            let key = try key(&reader, depth: depth)
            entries[key] = try value(&reader, depth: depth)
        }
        return .map(entries)
    }

    private static func key(_ reader: inout BinaryReader, depth: Int) throws(NotationError) -> String {
        let start = reader.position
        let major = try reader.peek() >> 5
        guard major == 3 || major == 6, case .string(let key) = try value(&reader, depth: depth) else {
            throw NotationError(.unsupported, "a map key is not text", at: start)
        }
        return key
    }

    private static func chunks(_ reader: inout BinaryReader, major: UInt8) throws(NotationError) -> [UInt8] {
        var data: [UInt8] = []
        while !(try atBreak(&reader)) {
            data.append(contentsOf: try reader.span(try chunkLength(&reader, major: major)))
        }
        return data
    }

    /// Each chunk is UTF-8 by itself (RFC 8949, section 3.2.3).
    private static func textChunks(_ reader: inout BinaryReader) throws(NotationError) -> String {
        var text = ""
        while !(try atBreak(&reader)) {
            text += try reader.text(try chunkLength(&reader, major: 3))
        }
        return text
    }

    private static func chunkLength(_ reader: inout BinaryReader, major: UInt8) throws(NotationError) -> UInt64 {
        let start = reader.position
        let head = try reader.byte()
        guard head >> 5 == major, head & 0x1F != 31 else {
            throw NotationError(.malformed, "a chunk of another kind stands in a CBOR string", at: start)
        }
        return try argument(&reader, head, at: start)
    }

    private static func half(_ bits: UInt16) -> Double {
        let exponent = Int(bits >> 10 & 0x1F)
        let fraction = Double(bits & 0x3FF)
        let size: Double
        switch exponent {
        case 0: size = fraction / 16_777_216  // 2^24
        case 31: size = fraction == 0 ? .infinity : .nan
        default: size = Double(sign: .plus, exponent: exponent - 25, significand: fraction + 1_024)
        }
        return bits & 0x8000 == 0 ? size : -size
    }

    private static func tooLarge(_ offset: Int) -> NotationError {
        NotationError(.outOfRange, "an integer does not fit into 64 bits with a sign", at: offset)
    }

    // MARK: Writing

    package static func encode(_ value: Value, into bytes: inout [UInt8]) {
        switch value {
        case .null: bytes.append(0xF6)
        case .bool(let flag): bytes.append(flag ? 0xF5 : 0xF4)
        case .int(let number): head(number < 0 ? 1 : 0, UInt64(bitPattern: number < 0 ? ~number : number), into: &bytes)
        case .double(let number): write(number, into: &bytes)
        case .string(let text): write(text, into: &bytes)
        case .bytes(let data):
            head(2, UInt64(data.count), into: &bytes)
            bytes.append(contentsOf: data)
        case .array(let items):
            head(4, UInt64(items.count), into: &bytes)
            for item in items { encode(item, into: &bytes) }
        case .map(let entries):
            head(5, UInt64(entries.count), into: &bytes)
            for (key, item) in entries.sorted(by: { $0.key < $1.key }) {
                write(key, into: &bytes)
                encode(item, into: &bytes)
            }
        }
    }

    private static func write(_ text: String, into bytes: inout [UInt8]) {
        head(3, UInt64(text.utf8.count), into: &bytes)
        bytes.append(utf8: text)
    }

    /// In 32 bits where nothing is lost, else in 64.
    private static func write(_ number: Double, into bytes: inout [UInt8]) {
        let short = Float(number)
        if Double(short) == number {
            bytes.append(0xFA)
            bytes.append(bigEndian: short.bitPattern)
        } else {
            bytes.append(0xFB)
            bytes.append(bigEndian: number.bitPattern)
        }
    }

    private static func head(_ major: UInt8, _ argument: UInt64, into bytes: inout [UInt8]) {
        let base = major << 5
        switch argument {
        case 0..<24: bytes.append(base | UInt8(argument))
        case 0...0xFF: bytes.append(contentsOf: [base | 24, UInt8(argument)])
        case 0...0xFFFF:
            bytes.append(base | 25)
            bytes.append(bigEndian: UInt16(argument))
        case 0...0xFFFF_FFFF:
            bytes.append(base | 26)
            bytes.append(bigEndian: UInt32(argument))
        default:
            bytes.append(base | 27)
            bytes.append(bigEndian: argument)
        }
    }
}
