/// Tor's SAFECOOKIE authentication: both sides prove that they know the cookie, and neither sends it.
import Crypto

/// control-spec, section 3.24. What listens at a false control port could otherwise ask for any 32 bytes it likes.
struct SafeCookie {
    static let size = 32
    private static let fromServer = "Tor safe cookie authentication server-to-controller hash"
    private static let toServer = "Tor safe cookie authentication controller-to-server hash"

    private let cookie: [UInt8]
    private let nonce: [UInt8]

    init(cookie: [UInt8], nonce: [UInt8]) {
        self.cookie = cookie
        self.nonce = nonce
    }

    /// The question to tor.
    var challenge: String { "AUTHCHALLENGE SAFECOOKIE \(Self.hex(nonce))" }

    /// Our proof after tor's `AUTHCHALLENGE SERVERHASH=… SERVERNONCE=…`; nil where tor's own proof is wrong.
    func proof(after answer: String) -> String? {
        let pairs = ControlWords(answer).pairs
        guard let hash = pairs["SERVERHASH"].flatMap(Self.bytes), hash.count == Self.size,
            let theirs = pairs["SERVERNONCE"].flatMap(Self.bytes), theirs.count == Self.size
        else { return nil }
        let message = cookie + nonce + theirs
        let key = SymmetricKey(data: Array(Self.fromServer.utf8))
        guard HMAC<SHA256>.isValidAuthenticationCode(hash, authenticating: message, using: key) else { return nil }
        let ours = HMAC<SHA256>
            .authenticationCode(for: message, using: SymmetricKey(data: Array(Self.toServer.utf8)))
        return Self.hex(Array(ours))
    }

    private static func hex(_ bytes: [UInt8]) -> String {
        bytes.map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
    }

    private static func bytes(_ hex: String) -> [UInt8]? {
        let digits = Array(hex.utf8)
        guard digits.count.isMultiple(of: 2), digits.count <= 2 * size else { return nil }
        var bytes: [UInt8] = []
        for index in stride(from: 0, to: digits.count, by: 2) {
            guard let byte = UInt8(String(decoding: digits[index...(index + 1)], as: UTF8.self), radix: 16) else {
                return nil
            }
            bytes.append(byte)
        }
        return bytes
    }
}
