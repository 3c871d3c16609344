/// Checks the shape of a seedbox's address, so that a slip of the pen is told before Tor is asked.
enum AddressText {
    /// What is wrong with an address; nil for a version 3 onion address, a host name or a numeric address.
    static func fault(in text: String) -> String? {
        let lower = text.lowercased()
        guard !text.isEmpty, text.utf8.count <= 255, text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }),
            !text.contains("/"), !text.contains("@"), !text.hasPrefix("-")
        else {
            return "\"\(visible(text, atMost: 80))\" is no address: write the name alone, as \"….onion\"."
        }
        guard lower.hasSuffix(".onion") else {
            if text.contains(":"), text.filter({ $0 == ":" }).count == 1 {
                return "\"\(visible(text, atMost: 80))\" has a port: give it as `port`."
            }
            return nil
        }
        // A subdomain may stand before the address itself.
        let label = lower.dropLast(".onion".count).split(separator: ".", omittingEmptySubsequences: false).last ?? ""
        if label.utf8.count == 16 {
            return "\"\(text)\" is a version 2 onion address; those no longer exist. Use the service's version 3 one."
        }
        guard label.utf8.count == 56 else {
            return "\"\(visible(text, atMost: 80))\" is no onion address: \(label.utf8.count) characters stand before "
                + "`.onion` where there must be 56. Copy it from `hostname` in the HiddenServiceDir."
        }
        guard let bytes = decode(label) else {
            return "\"\(text)\" is no onion address: only a to z and 2 to 7 are allowed in it. Copy it again."
        }
        // rend-spec-v3, section 6: public key, 2 bytes of checksum, version.
        let key = Array(bytes[..<32])
        guard bytes[34] == 3,
            Array(Keccak.sha3of256(Array(".onion checksum".utf8) + key + [3])[..<2]) == Array(bytes[32..<34])
        else {
            return "\"\(text)\" has a slip in it: its checksum is wrong. Copy it again from the HiddenServiceDir."
        }
        return nil
    }

    /// Base32 of RFC 4648 without padding; nil where a character is none of its.
    private static func decode(_ text: Substring) -> [UInt8]? {
        var bytes: [UInt8] = []
        var buffer: UInt32 = 0
        var bits = 0
        for byte in text.utf8 {
            let five: UInt8
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"): five = byte - UInt8(ascii: "a")
            case UInt8(ascii: "2")...UInt8(ascii: "7"): five = byte - UInt8(ascii: "2") + 26
            default: return nil
            }
            buffer = (buffer << 5 | UInt32(five)) & 0xFFF
            bits += 5
            if bits >= 8 {
                bits -= 8
                bytes.append(UInt8(truncatingIfNeeded: buffer >> UInt32(bits)))
            }
        }
        return bytes
    }
}

/// SHA3-256 (FIPS 202), which the checksum of onion addresses needs and no dependency offers.
enum Keccak {
    private static let rate = 136

    static func sha3of256(_ message: [UInt8]) -> [UInt8] {
        var padded = message + [0x06]
        while padded.count % rate != 0 { padded.append(0) }
        padded[padded.count - 1] |= 0x80
        var state = [UInt64](repeating: 0, count: 25)
        for block in stride(from: 0, to: padded.count, by: rate) {
            for lane in 0..<(rate / 8) {
                var word: UInt64 = 0
                for i in (0..<8).reversed() { word = word << 8 | UInt64(padded[block + lane * 8 + i]) }
                state[lane] ^= word
            }
            permute(&state)
        }
        return (0..<32).map { index in
            let shift = UInt64(index % 8 * 8)
            return UInt8(truncatingIfNeeded: state[index / 8] >> shift)
        }
    }

    private static func permute(_ a: inout [UInt64]) {
        var register: UInt8 = 1
        for _ in 0..<24 {
            // theta
            var column = Array(a[0..<5])
            for i in 5..<25 { column[i % 5] ^= a[i] }
            for x in 0..<5 {
                let change: UInt64 = column[(x + 4) % 5] ^ rotate(column[(x + 1) % 5], 1)
                for y in stride(from: 0, to: 25, by: 5) { a[x + y] ^= change }
            }
            // rho and pi
            var x = 1
            var y = 0
            var moved = a[1]
            for step in 0..<24 {
                let turned = rotate(moved, UInt64((step + 1) * (step + 2) / 2 % 64))
                (x, y) = (y, (2 * x + 3 * y) % 5)
                moved = a[x + 5 * y]
                a[x + 5 * y] = turned
            }
            // chi
            for y in stride(from: 0, to: 25, by: 5) {
                let row = Array(a[y..<(y + 5)])
                for x in 0..<5 {
                    let other: UInt64 = ~row[(x + 1) % 5] & row[(x + 2) % 5]
                    a[x + y] = row[x] ^ other
                }
            }
            // iota: the constants come from a shift register
            for j in 0..<7 {
                let bit = register & 1
                register = register << 1 ^ (register >> 7 == 1 ? 0x71 : 0)
                if bit == 1 { a[0] ^= 1 << UInt64((1 << j) - 1) }
            }
        }
    }

    private static func rotate(_ word: UInt64, _ by: UInt64) -> UInt64 {
        by == 0 ? word : (word << by) | (word >> (64 - by))
    }
}
