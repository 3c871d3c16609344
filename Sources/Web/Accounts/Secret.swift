/// 256 random bits that are shown once and kept as their SHA-256 only.
import Crypto

enum Secret {
    /// Bytes of randomness; as text 43 characters.
    static let size = 32
    private static let textSize = 43

    /// A new one, for URLs, cookies and JSON.
    static func make() -> String {
        var generator = SystemRandomNumberGenerator()
        var bytes: [UInt8] = []
        bytes.reserveCapacity(size)
        for _ in 0..<size / 8 {
            let word = generator.next()
            for shift in stride(from: 0 as UInt64, to: 64, by: 8) {
                bytes.append(UInt8(truncatingIfNeeded: word >> shift))
            }
        }
        return Base64.encodeForURL(bytes)
    }

    /// What is kept of it. Looked up by this, so that comparing takes no time that depends on the secret.
    static func digest(_ secret: String) -> [UInt8]? {
        guard secret.utf8.count == textSize else { return nil }
        return Array(SHA256.hash(data: Array(secret.utf8)))
    }
}
