/// Whether anybody looks at one seedbox here: an open page, a program that subscribes, a watching command, a question.

/// A pure machine. Times are milliseconds on a steady clock.
struct BoxAudience: Sendable, Hashable {
    /// A page that is loaded anew leaves and comes back; whoever asked once often asks again.
    static let linger: Int64 = 10_000

    private var hasSubscriber = false
    private var commands = 0
    /// When somebody who looked was last there; nil before the first.
    private var lastSeen: Int64?

    /// Somebody subscribes to the box over WAMP, or nobody does any more.
    mutating func subscribed(_ hasSubscriber: Bool, at now: Int64) {
        if hasSubscriber || self.hasSubscriber { lastSeen = now }
        self.hasSubscriber = hasSubscriber
    }

    mutating func commandCame() { commands += 1 }

    mutating func commandLeft(at now: Int64) {
        commands -= 1
        lastSeen = now
    }

    /// Somebody asked what is known, once.
    mutating func glanced(at now: Int64) { lastSeen = now }

    func isLooking(at now: Int64) -> Bool {
        hasSubscriber || commands > 0 || lastSeen.map { now - $0 < Self.linger } ?? false
    }

    /// When nobody will look any more unless somebody comes; nil where that is not to be foreseen, or already so.
    func rests(after now: Int64) -> Int64? {
        guard !hasSubscriber, commands == 0, isLooking(at: now) else { return nil }
        return lastSeen.map { $0 + Self.linger }
    }
}
