// How dear one guess at a password is, and the text in which a hash is kept with its own price.

import Crypto
import CryptoExtras
import Foundation

/// The parameters of scrypt (RFC 7914, section 2).
package struct ScryptCost: Sendable, Hashable {
    /// The base-2 logarithm of N; memory is 128 · N · r bytes.
    package var log2N: Int
    package var r: Int
    package var p: Int

    /// One of OWASP's equivalent choices: 32 MiB at a time, about 0.3 s on one core of a small machine.
    package static let standard = ScryptCost(log2N: 15, r: 8, p: 3)
    /// For tests only.
    package static let trivial = ScryptCost(log2N: 4, r: 8, p: 1)

    package init(log2N: Int, r: Int, p: Int) {
        self.log2N = log2N
        self.r = r
        self.p = p
    }

    /// A damaged or planted row must not ask for a terabyte.
    fileprivate var isReasonable: Bool { (1...20).contains(log2N) && (1...16).contains(r) && (1...16).contains(p) }
}

/// A password's hash with its salt and parameters, as the column `password` holds it.
struct PasswordHash: Sendable {
    var cost: ScryptCost
    var salt: [UInt8]
    var hash: [UInt8]

    private static let scheme = "scrypt"
    private static let saltSize = 16
    private static let hashSize = 32

    /// Computes a new hash; takes as long as the cost says.
    init(password: String, cost: ScryptCost) throws {
        self.cost = cost
        salt = AccessSecret.random(Self.saltSize)
        hash = []
        hash = try derive(password)
    }

    init(cost: ScryptCost, salt: [UInt8], hash: [UInt8]) {
        self.cost = cost
        self.salt = salt
        self.hash = hash
    }

    init?(text: String) {
        let parts = text.split(separator: "$", omittingEmptySubsequences: false)
        guard parts.count == 6, parts[0] == Self.scheme,
            let log2N = Int(parts[1]), let r = Int(parts[2]), let p = Int(parts[3]),
            let salt = [UInt8](hex: parts[4]), let hash = [UInt8](hex: parts[5]),
            salt.count == Self.saltSize, hash.count == Self.hashSize
        else { return nil }
        cost = ScryptCost(log2N: log2N, r: r, p: p)
        guard cost.isReasonable else { return nil }
        self.salt = salt
        self.hash = hash
    }

    var text: String { "\(Self.scheme)$\(cost.log2N)$\(cost.r)$\(cost.p)$\(salt.hex)$\(hash.hex)" }

    /// Takes the same time for a right and a wrong password.
    func matches(_ password: String) throws -> Bool {
        let other = try derive(password)
        var difference: UInt8 = 0
        for (left, right) in zip(hash, other) { difference |= left ^ right }
        return difference == 0 && hash.count == other.count
    }

    private func derive(_ password: String) throws -> [UInt8] {
        // Browsers and terminals compose accents differently; and an empty password would trap below, so it gets a byte
        // that no other password consists of.
        let composed = Array(password.precomposedStringWithCompatibilityMapping.utf8)
        let key = try KDF.Scrypt.deriveKey(
            from: composed.isEmpty ? [0] : composed,
            salt: salt,
            outputByteCount: Self.hashSize,
            rounds: 1 << cost.log2N,
            blockSize: cost.r,
            parallelism: cost.p,
            // The library's own sum leaves out the scratch space that BoringSSL counts.
            maxMemory: 128 * cost.r * ((1 << cost.log2N) + cost.p + 2) + 65_536
        )
        return key.withUnsafeBytes { Array($0) }
    }
}
