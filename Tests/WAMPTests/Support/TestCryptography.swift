/// Cryptography for tests: a real HMAC-SHA-256, and a signature that anybody could make.
import WAMP

struct TestCryptography: Cryptography {
    func hmacSHA256(key: [UInt8], message: [UInt8]) -> [UInt8] {
        var block = key.count > 64 ? SHA256Sum.of(key) : key
        block += [UInt8](repeating: 0, count: 64 - block.count)
        let inner = SHA256Sum.of(block.map { $0 ^ 0x36 } + message)
        return SHA256Sum.of(block.map { $0 ^ 0x5C } + inner)
    }

    func verifyEd25519(signature: [UInt8], message: [UInt8], publicKey: [UInt8]) -> Bool {
        signature == Self.sign(message, publicKey: publicKey)
    }

    static func sign(_ message: [UInt8], publicKey: [UInt8]) -> [UInt8] {
        let sum = SHA256Sum.of(publicKey + message)
        return sum + sum
    }
}

/// SHA-256 (FIPS 180-4), as short as it goes.
enum SHA256Sum {
    private static let primes: [UInt64] = {
        var primes: [UInt64] = []
        var candidate: UInt64 = 2
        while primes.count < 64 {
            if primes.allSatisfy({ candidate % $0 != 0 }) { primes.append(candidate) }
            candidate += 1
        }
        return primes
    }()

    /// The first 32 bits of the fraction of the cube or square root, found by whole numbers alone.
    private static func fraction(_ prime: UInt64, root: Int) -> UInt32 {
        // The root times 2^32, by bisection: r^n <= p * 2^(32 n).
        var low: UInt64 = 0
        var high: UInt64 = 32 << 32
        while high - low > 1 {
            let middle = (low + high) / 2
            let power = (1..<root).reduce(Wide(middle)) { product, _ in product.times(middle) }
            if power.isAtMost(prime, shift: 32 * root) { low = middle } else { high = middle }
        }
        return UInt32(truncatingIfNeeded: low)
    }

    private static let rounds = primes.map { fraction($0, root: 3) }
    private static let start = primes.prefix(8).map { fraction($0, root: 2) }

    static func of(_ bytes: [UInt8]) -> [UInt8] {
        var padded = bytes + [0x80]
        while padded.count % 64 != 56 { padded.append(0) }
        withUnsafeBytes(of: UInt64(bytes.count * 8).bigEndian) { padded.append(contentsOf: $0) }
        var state = start
        for chunk in stride(from: 0, to: padded.count, by: 64) {
            var words = stride(from: chunk, to: chunk + 64, by: 4).map { place in
                padded[place..<place + 4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            }
            for index in 16..<64 {
                let (near, far) = (words[index - 2], words[index - 15])
                let small = turned(far, 7) ^ turned(far, 18) ^ far >> 3
                let large = turned(near, 17) ^ turned(near, 19) ^ near >> 10
                words.append(words[index - 16] &+ small &+ words[index - 7] &+ large)
            }
            var work = state
            for index in 0..<64 {
                let (a, e) = (work[0], work[4])
                let choice = (e & work[5]) ^ (~e & work[6])
                let first = work[7] &+ (turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)) &+ choice
                let sum = first &+ rounds[index] &+ words[index]
                let majority = (a & work[1]) ^ (a & work[2]) ^ (work[1] & work[2])
                let second = (turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) &+ majority
                work = [sum &+ second, a, work[1], work[2], work[3] &+ sum, e, work[5], work[6]]
            }
            state = zip(state, work).map { $0 &+ $1 }
        }
        return state.flatMap { word in
            stride(from: 24, through: 0, by: -8).map { UInt8(truncatingIfNeeded: word >> $0) }
        }
    }

    private static func turned(_ word: UInt32, _ count: UInt32) -> UInt32 { word >> count | word << (32 - count) }

    /// A number of 192 bits, which the third power of a root needs.
    private struct Wide {
        var limbs: [UInt64]

        init(_ number: UInt64) { limbs = [number, 0, 0] }

        func times(_ factor: UInt64) -> Wide {
            var product = Wide(0)
            var carry: UInt64 = 0
            for index in limbs.indices {
                let (high, low) = limbs[index].multipliedFullWidth(by: factor)
                let (sum, overflow) = low.addingReportingOverflow(carry)
                product.limbs[index] = sum
                carry = high + (overflow ? 1 : 0)
            }
            return product
        }

        func isAtMost(_ number: UInt64, shift: Int) -> Bool {
            var other = Wide(0)
            other.limbs[shift / 64] = number << (shift % 64)
            if shift % 64 > 0 { other.limbs[shift / 64 + 1] = number >> (64 - shift % 64) }
            return !other.limbs.reversed().lexicographicallyPrecedes(limbs.reversed())
        }
    }
}
