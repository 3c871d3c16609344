// What a person or a script asks the outbox to do.

package import Notation
package import Seedbox

package struct JobRequest: Sendable, Hashable {
    package var box: String
    package var verb: String
    package var arguments: Value
    /// Torrents to keep in order with others' jobs on them; see `Job.targets`.
    package var targets: [InfoHash]
    package var precondition: Value
    package var who: String
    package var origin: String
    /// The key of whoever may ask twice, 32 hex digits; the second time answers with the first job. Nil for a new one.
    package var key: String?
    /// How long it may wait before it is begun; nil for the outbox's default.
    package var expiry: Duration?

    package init(
        box: String,
        verb: String,
        arguments: Value = .null,
        targets: [InfoHash] = [],
        precondition: Value = .null,
        who: String,
        origin: String,
        key: String? = nil,
        expiry: Duration? = nil
    ) {
        self.box = box
        self.verb = verb
        self.arguments = arguments
        self.targets = targets
        self.precondition = precondition
        self.who = who
        self.origin = origin
        self.key = key
        self.expiry = expiry
    }

    /// 128 bits of the system's cryptographic generator as 32 hex digits.
    package static func makeKey() -> String {
        var generator = SystemRandomNumberGenerator()
        return (0..<32).map { _ in String(UInt8.random(in: 0..<16, using: &generator), radix: 16) }.joined()
    }

    /// The job to accept; a problem where a part of the request is not what it must be.
    func job(at now: Int64, defaultExpiry: Duration) throws(Problem) -> Job {
        let key = try checkedKey()
        try Self.check(box, "box")
        try Self.check(verb, "verb")
        guard who.utf8.count <= Self.longestText, origin.utf8.count <= Self.longestText else {
            throw Problem(.badRequest, "The name or address of who asks is too long for a job.")
        }
        guard targets.count <= Self.mostTargets else {
            throw Problem(
                .tooLarge,
                "One job acts on at most \(Self.mostTargets) torrents, so nothing was done. Split it."
            )
        }
        let expiry = expiry ?? defaultExpiry
        guard expiry > .zero, expiry <= Self.longestExpiry else {
            throw Problem(.badRequest, "A job expires after 1 second to 365 days.")
        }
        let (seconds, attoseconds) = expiry.components
        return Job(
            key: key,
            box: box,
            verb: verb,
            arguments: arguments,
            targets: targets,
            precondition: precondition,
            who: who,
            origin: origin,
            acceptedAt: now,
            expiresAt: now + seconds * 1000 + max(attoseconds / 1_000_000_000_000_000, seconds == 0 ? 1 : 0)
        )
    }

    private static let longestText = 256
    private static let mostTargets = 10_000
    private static let longestExpiry = Duration.seconds(365 * 86_400)

    private func checkedKey() throws(Problem) -> String {
        guard let key else { return Self.makeKey() }
        let isHex = key.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"): true
            default: false
            }
        }
        guard isHex, key.utf8.count == 32 else {
            throw Problem(.badRequest, "A job's key is 32 lower-case hex digits: 128 random bits.")
        }
        return key
    }

    private static func check(_ name: String, _ what: String) throws(Problem) {
        let isPlain = name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."):
                true
            default: false
            }
        }
        guard isPlain, (1...64).contains(name.utf8.count) else {
            throw Problem(.badRequest, "A job's \(what) is 1 to 64 letters, digits, dots, dashes or underscores.")
        }
    }
}
