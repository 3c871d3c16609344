/// What the shell tells the router about somebody who wants to enter.
package import Notation

/// How a client proves who it is.
package enum AuthMethod: String, Sendable, Hashable, CaseIterable {
    /// A secret that the shell redeems.
    case ticket
    /// A shared secret that never travels.
    case wampcra
    /// An Ed25519 key.
    case cryptosign
    case anonymous
}

/// A HELLO, as far as it matters for who it is.
package struct Greeting: Sendable, Hashable {
    /// What the client offers and the router takes, in the client's order; never empty.
    package var methods: [AuthMethod]
    package var authid: String?
    /// HELLO.Details.authextra, such as `pubkey` for cryptosign.
    package var extra: [String: Value]
    package var transport: [String: Value]
}

/// How a client is to prove itself; the answer to a `Greeting`.
package enum Credential: Sendable, Hashable {
    /// Ask for a ticket, which the shell then checks.
    case ticket
    /// The secret as it is stored: the base64 text of the derived key where a salt is given.
    case wampcra(Principal, secret: [UInt8], salt: Salt?)
    case cryptosign(Principal, publicKey: [UInt8])
    case anonymous(Principal)
    /// Nobody of that name: the same dialogue is played and ends in the same refusal.
    case unknown(AuthMethod)
}

/// How a password became a WAMP-CRA secret (PBKDF2 with HMAC-SHA-256).
package struct Salt: Sendable, Hashable {
    package var salt: String
    package var iterations: Int
    package var keyLength: Int

    package init(salt: String, iterations: Int = 100_000, keyLength: Int = 32) {
        self.salt = salt
        self.iterations = iterations
        self.keyLength = keyLength
    }
}

/// The cryptography that the router asks of the shell.
package protocol Cryptography: Sendable {
    func hmacSHA256(key: [UInt8], message: [UInt8]) -> [UInt8]
    func verifyEd25519(signature: [UInt8], message: [UInt8], publicKey: [UInt8]) -> Bool
}
