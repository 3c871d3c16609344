/// Where one seedbox is and how its link behaves.
package struct TunnelConfiguration: Sendable {
    /// The seedbox's name.
    package var box: String
    /// Onion addresses with `.onion`, or names that an exit relay resolves; tried in turn.
    package var addresses: [String]
    package var port: UInt16 = 22
    package var user: String
    /// File of the ed25519 private key in OpenSSH's format.
    package var keyFile: String
    /// Accepted host keys, each as `ssh-ed25519 AAAA…`.
    package var hostKeys: [String]
    /// Compresses the SSH stream.
    package var compression = true
    /// This controller's start among all its starts; an agent refuses one lower than the highest it has seen.
    package var epoch: Int64?
    /// Such as `farseed 0.1.0`, for the greeting.
    package var software: String
    package var timing = LinkTiming()

    package init(
        box: String,
        addresses: [String],
        user: String,
        keyFile: String,
        hostKeys: [String],
        software: String
    ) {
        precondition(!addresses.isEmpty, "A box has an address.")
        self.box = box
        self.addresses = addresses
        self.user = user
        self.keyFile = keyFile
        self.hostKeys = hostKeys
        self.software = software
    }
}

/// The numbers of a link's life. Over Tor a round trip takes 0.3 to 2 s and now and then much longer.
package struct LinkTiming: Sendable, Hashable {
    /// Pause between pings while all is well: how fresh the shown round trip and age are.
    package var pingEvery = Duration.seconds(10)
    /// A ping unanswered for this long, or `suspectFactor` smoothed round trips where that is longer, makes the link
    /// suspect: a second session is begun on another circuit.
    package var suspectAfter = Duration.seconds(10)
    package var suspectFactor = 4
    /// A ping unanswered for this long, or `deadFactor` smoothed round trips where that is longer, ends the session.
    package var deadAfter = Duration.seconds(45)
    package var deadFactor = 8
    /// Pauses between attempts: a random part of a bound that doubles from the first to the last.
    package var retryFirst = Duration.seconds(1)
    package var retryLast = Duration.seconds(60)
    /// Pause after a fault that only the owner can mend.
    package var retryFault = Duration.seconds(60)
    /// Least time between the beginnings of two attempts: a guard refuses clients that make circuits faster.
    package var spacing = Duration.milliseconds(500)
    /// An attempt that takes this long gets a rival on another circuit: over Tor a connection takes 4 s in the median, but
    /// one through a relay that has died may wait for tor's own deadlines of a minute and more.
    package var hedgeAfter = Duration.seconds(15)
    /// Keeps a spare session on another circuit.
    package var standby = false
    /// A session that has carried so many bytes is replaced by a new one; what still runs on it may carry as many more.
    /// libssh2's exchange of new keys has hung others after 1 GiB.
    package var recycleAfter: UInt64 = 512 << 20
    /// Deadline for tor's answer to the SOCKS request: finding the descriptor, introduction and rendezvous.
    package var socks = Duration.seconds(90)
    /// Deadline from the login to the agent's greeting.
    package var greeting = Duration.seconds(45)

    package init() {}
}

extension LinkTiming {
    /// The smoothed round trip after a new one, as TCP has it (RFC 6298): an eighth of each.
    static func smoothed(_ last: Duration?, _ new: Duration) -> Duration { last.map { $0 * 7 / 8 + new / 8 } ?? new }

    /// How long a ping may be unanswered, by the smoothed round trip, before the session is suspect.
    func suspect(after roundTrip: Duration?) -> Duration { max(suspectAfter, (roundTrip ?? .zero) * suspectFactor) }

    /// Likewise before it counts as dead.
    func dead(after roundTrip: Duration?) -> Duration { max(deadAfter, (roundTrip ?? .zero) * deadFactor) }
}
