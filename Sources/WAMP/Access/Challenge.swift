/// The dialogue of CHALLENGE and AUTHENTICATE, for each method.
import Notation

/// A challenge that was sent, and what its answer must be.
enum Challenge {
    case ticket
    case wampcra(Principal?, secret: [UInt8], text: String)
    case cryptosign(Principal?, publicKey: [UInt8], nonce: [UInt8])

    var method: AuthMethod {
        switch self {
        case .ticket: .ticket
        case .wampcra: .wampcra
        case .cryptosign: .cryptosign
        }
    }

    enum Outcome {
        case accepted(Principal)
        case denied
        /// The shell must redeem this ticket.
        case check(ticket: String)
    }

    /// Judges the signature of AUTHENTICATE. A challenge for somebody unknown is always denied, after the same work.
    func answered(_ signature: String, _ cryptography: any Cryptography) -> Outcome {
        switch self {
        case .ticket: return .check(ticket: signature)
        case .wampcra(let principal, let secret, let text):
            let expected = Base64.encode(cryptography.hmacSHA256(key: secret, message: Array(text.utf8)))
            guard Self.equal(Array(signature.utf8), Array(expected.utf8)), let principal else { return .denied }
            return .accepted(principal)
        case .cryptosign(let principal, let publicKey, let nonce):
            // The signature, followed by what was signed.
            guard let answer = Hexadecimal.decode(signature), answer.count == 96,
                Self.equal(Array(answer[64...]), nonce),
                cryptography.verifyEd25519(signature: Array(answer[..<64]), message: nonce, publicKey: publicKey),
                let principal
            else { return .denied }
            return .accepted(principal)
        }
    }

    /// In a time that does not depend on where they differ.
    private static func equal(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        guard left.count == right.count else { return false }
        return zip(left, right).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
    }
}

/// WAMP-CRA's texts and keys.
package enum WAMPCRA {
    /// The secret for a password: base64 of PBKDF2 with HMAC-SHA-256. Slow by purpose.
    package static func derivedKey(password: [UInt8], salt: Salt, _ cryptography: any Cryptography) -> [UInt8] {
        var key: [UInt8] = []
        var block: UInt32 = 0
        while key.count < salt.keyLength {
            block += 1
            var round = Array(salt.salt.utf8)
            withUnsafeBytes(of: block.bigEndian) { round.append(contentsOf: $0) }
            round = cryptography.hmacSHA256(key: password, message: round)
            var sum = round
            for _ in 1..<max(1, salt.iterations) {
                round = cryptography.hmacSHA256(key: password, message: round)
                for index in sum.indices { sum[index] ^= round[index] }
            }
            key += sum
        }
        return Array(Base64.encode(Array(key.prefix(salt.keyLength))).utf8)
    }

    /// The text that the client signs.
    static func challenge(_ principal: Principal, session: SessionID, nonce: String, at now: Moment) -> String {
        JSON.text([
            "authid": .string(principal.authid), "authrole": .string(principal.role), "authmethod": "wampcra",
            "authprovider": .string(principal.provider), "nonce": .string(nonce), "timestamp": .string(now.text),
            "session": .int(session.value),
        ])
    }
}

enum Hexadecimal {
    static func encode(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    static func decode(_ text: String) -> [UInt8]? {
        let digits = Array(text.utf8)
        guard digits.count % 2 == 0 else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(digits.count / 2)
        for index in stride(from: 0, to: digits.count, by: 2) {
            guard let high = value(digits[index]), let low = value(digits[index + 1]) else { return nil }
            bytes.append(high << 4 | low)
        }
        return bytes
    }

    private static func value(_ digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - 48
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - 87
        case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - 55
        default: nil
        }
    }
}
