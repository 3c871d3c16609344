/// MessagePack, all of it but extension types; written with the shortest form of everything.
package enum MessagePack {
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

    private static func value(_ reader: inout BinaryReader, depth: Int) throws(NotationError) -> Value {
        let start = reader.position
        let head = try reader.byte()
        switch head {
        case 0x00...0x7F: return .int(Int64(head))
        case 0x80...0x8F: return try map(&reader, UInt64(head & 0x0F), depth: depth + 1)
        case 0x90...0x9F: return try array(&reader, UInt64(head & 0x0F), depth: depth + 1)
        case 0xA0...0xBF: return .string(try reader.text(UInt64(head & 0x1F)))
        case 0xC0: return .null
        case 0xC2: return .bool(false)
        case 0xC3: return .bool(true)
        case 0xC4: return .bytes(Array(try reader.span(UInt64(try reader.integer(UInt8.self)))))
        case 0xC5: return .bytes(Array(try reader.span(UInt64(try reader.integer(UInt16.self)))))
        case 0xC6: return .bytes(Array(try reader.span(UInt64(try reader.integer(UInt32.self)))))
        case 0xCA: return .double(Double(Float(bitPattern: try reader.integer(UInt32.self))))
        case 0xCB: return .double(Double(bitPattern: try reader.integer(UInt64.self)))
        case 0xCC: return .int(Int64(try reader.integer(UInt8.self)))
        case 0xCD: return .int(Int64(try reader.integer(UInt16.self)))
        case 0xCE: return .int(Int64(try reader.integer(UInt32.self)))
        case 0xCF:
            guard let number = Int64(exactly: try reader.integer(UInt64.self)) else {
                throw NotationError(.outOfRange, "an integer does not fit into 64 bits with a sign", at: start)
            }
            return .int(number)
        case 0xD0: return .int(Int64(try reader.integer(Int8.self)))
        case 0xD1: return .int(Int64(try reader.integer(Int16.self)))
        case 0xD2: return .int(Int64(try reader.integer(Int32.self)))
        case 0xD3: return .int(try reader.integer(Int64.self))
        case 0xD9: return .string(try reader.text(UInt64(try reader.integer(UInt8.self))))
        case 0xDA: return .string(try reader.text(UInt64(try reader.integer(UInt16.self))))
        case 0xDB: return .string(try reader.text(UInt64(try reader.integer(UInt32.self))))
        case 0xDC: return try array(&reader, UInt64(try reader.integer(UInt16.self)), depth: depth + 1)
        case 0xDD: return try array(&reader, UInt64(try reader.integer(UInt32.self)), depth: depth + 1)
        case 0xDE: return try map(&reader, UInt64(try reader.integer(UInt16.self)), depth: depth + 1)
        case 0xDF: return try map(&reader, UInt64(try reader.integer(UInt32.self)), depth: depth + 1)
        case 0xE0...0xFF: return .int(Int64(Int8(bitPattern: head)))
        case 0xC7...0xC9, 0xD4...0xD8:
            throw NotationError(.unsupported, "MessagePack extension types are not taken", at: start)
        default:
            throw NotationError(.malformed, "MessagePack never uses this byte", at: start)
        }
    }

    private static func array(
        _ reader: inout BinaryReader,
        _ declared: UInt64,
        depth: Int
    ) throws(NotationError) -> Value {
        let count = try reader.enter(declared, size: 1, depth: depth)
        var items: [Value] = []
        items.reserveCapacity(BinaryReader.reserved(count))
        for _ in 0..<count { items.append(try value(&reader, depth: depth)) }
        return .array(items)
    }

    private static func map(
        _ reader: inout BinaryReader,
        _ declared: UInt64,
        depth: Int
    ) throws(NotationError) -> Value {
        let count = try reader.enter(declared, size: 2, depth: depth)
        var entries = [String: Value](minimumCapacity: BinaryReader.reserved(count))
        for _ in 0..<count {
            let start = reader.position
            switch try reader.peek() {
            case 0xA0...0xBF, 0xD9...0xDB: break
            default: throw NotationError(.unsupported, "a map key is not text", at: start)
            }
            guard case .string(let key) = try value(&reader, depth: depth) else {
                throw NotationError(.unsupported, "a map key is not text", at: start)
            }
            entries[key] = try value(&reader, depth: depth)
        }
        return .map(entries)
    }

    // MARK: Writing

    package static func encode(_ value: Value, into bytes: inout [UInt8]) {
        switch value {
        case .null: bytes.append(0xC0)
        case .bool(let flag): bytes.append(flag ? 0xC3 : 0xC2)
        case .int(let number): write(number, into: &bytes)
        case .double(let number):
            bytes.append(0xCB)
            bytes.append(bigEndian: number.bitPattern)
        case .string(let text): write(text, into: &bytes)
        case .bytes(let data):
            head(data.count, small: nil, 0xC4, 0xC5, 0xC6, into: &bytes)
            bytes.append(contentsOf: data)
        case .array(let items):
            head(items.count, small: (0x90, 16), nil, 0xDC, 0xDD, into: &bytes)
            for item in items { encode(item, into: &bytes) }
        case .map(let entries):
            head(entries.count, small: (0x80, 16), nil, 0xDE, 0xDF, into: &bytes)
            for (key, item) in entries.sorted(by: { $0.key < $1.key }) {
                write(key, into: &bytes)
                encode(item, into: &bytes)
            }
        }
    }

    private static func write(_ text: String, into bytes: inout [UInt8]) {
        head(text.utf8.count, small: (0xA0, 32), 0xD9, 0xDA, 0xDB, into: &bytes)
        bytes.append(utf8: text)
    }

    private static func write(_ number: Int64, into bytes: inout [UInt8]) {
        switch number {
        case 0...0x7F: bytes.append(UInt8(number))
        case -32..<0: bytes.append(UInt8(bitPattern: Int8(number)))
        case 0...0xFF: bytes.append(contentsOf: [0xCC, UInt8(number)])
        case 0...0xFFFF:
            bytes.append(0xCD)
            bytes.append(bigEndian: UInt16(number))
        case 0...0xFFFF_FFFF:
            bytes.append(0xCE)
            bytes.append(bigEndian: UInt32(number))
        case 0...:
            bytes.append(0xCF)
            bytes.append(bigEndian: UInt64(number))
        case -0x80..<0: bytes.append(contentsOf: [0xD0, UInt8(bitPattern: Int8(number))])
        case -0x8000..<0:
            bytes.append(0xD1)
            bytes.append(bigEndian: Int16(number))
        case -0x8000_0000..<0:
            bytes.append(0xD2)
            bytes.append(bigEndian: Int32(number))
        default:
            bytes.append(0xD3)
            bytes.append(bigEndian: number)
        }
    }

    /// The head byte and length: packed into one byte below `small`'s limit, else in 8, 16 or 32 bits.
    private static func head(
        _ count: Int,
        small: (base: UInt8, limit: Int)?,
        _ bits8: UInt8?,
        _ bits16: UInt8,
        _ bits32: UInt8,
        into bytes: inout [UInt8]
    ) {
        if let small, count < small.limit {
            bytes.append(small.base | UInt8(count))
        } else if let bits8, count <= 0xFF {
            bytes.append(contentsOf: [bits8, UInt8(count)])
        } else if count <= 0xFFFF {
            bytes.append(bits16)
            bytes.append(bigEndian: UInt16(count))
        } else {
            precondition(count <= 0xFFFF_FFFF, "MessagePack has no lengths beyond 32 bits")
            bytes.append(bits32)
            bytes.append(bigEndian: UInt32(count))
        }
    }
}
