/// Base64 in its two alphabets, as handshakes and tokens need it.
enum Base64 {
    private static let standard = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    private static let forURLs = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

    /// RFC 4648, section 4, with padding.
    static func encode(_ bytes: some Sequence<UInt8>) -> String { encode(bytes, standard, isPadded: true) }

    /// RFC 4648, section 5, without padding: safe in URLs, cookies and JSON.
    static func encodeForURL(_ bytes: some Sequence<UInt8>) -> String { encode(bytes, forURLs, isPadded: false) }

    /// Whether the standard alphabet has it.
    static func isDigit(_ byte: UInt8) -> Bool { standard.contains(byte) }

    private static func encode(_ bytes: some Sequence<UInt8>, _ alphabet: [UInt8], isPadded: Bool) -> String {
        var text: [UInt8] = []
        var group: UInt32 = 0
        var count = 0
        for byte in bytes {
            group = group << 8 | UInt32(byte)
            count += 1
            if count == 3 {
                for shift in [18, 12, 6, 0] as [UInt32] { text.append(alphabet[Int(group >> shift & 63)]) }
                (group, count) = (0, 0)
            }
        }
        if count > 0 {
            group <<= UInt32(3 - count) * 8
            for shift in ([18, 12, 6] as [UInt32]).prefix(count + 1) { text.append(alphabet[Int(group >> shift & 63)]) }
            if isPadded { text += [UInt8](repeating: 0x3D, count: 3 - count) }
        }
        return String(decoding: text, as: UTF8.self)
    }
}
