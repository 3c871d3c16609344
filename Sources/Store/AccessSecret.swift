// Secrets that let somebody in: made at random, handed out once, kept only as a digest.

import Crypto

enum AccessSecret {
    /// 256 bits: nobody guesses one, so its digest needs neither salt nor cost.
    static let size = 32
    /// The most digits read of a presented secret.
    private static let maximumText = 128

    /// Bytes of the system's cryptographic generator.
    static func random(_ count: Int) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    }

    /// A new secret as hex digits.
    static func make() -> String { random(size).hex }

    /// What is stored of `secret` and looked up by. That the look-up's time depends on the digest tells nothing of use:
    /// digests cannot be chosen.
    static func digest(_ secret: String) -> [UInt8]? {
        guard secret.utf8.count <= maximumText else { return nil }
        return Array(SHA256.hash(data: Array(secret.utf8)))
    }
}

extension [UInt8] {
    private static let digits = Array("0123456789abcdef".utf8)

    /// Two lower-case digits a byte.
    package var hex: String {
        String(decoding: flatMap { [Self.digits[Int($0 >> 4)], Self.digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    /// Nil where `text` is not an even number of hex digits.
    package init?(hex text: some StringProtocol) {
        let digits = text.utf8.map { Character(UnicodeScalar($0)).hexDigitValue }
        guard digits.count.isMultiple(of: 2) else { return nil }
        self = []
        reserveCapacity(digits.count / 2)
        for index in stride(from: 0, to: digits.count, by: 2) {
            guard let high = digits[index], let low = digits[index + 1] else { return nil }
            append(UInt8(high << 4 | low))
        }
    }
}
