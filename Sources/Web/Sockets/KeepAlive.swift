/// Decides when a websocket's peer is asked whether it is still there, and when it is gone.
import NIOCore

/// A machine without clock or socket. It sleeps as long as it is told to; bytes from the peer are told as they come.
///
/// Life: while the peer sends, or its system acknowledges what it is sent, it is left alone: thousands who get events would
/// otherwise cost as much by pings as by the events of half a minute. A system may acknowledge for a program that hangs, and
/// a proxy for a peer that has gone; so it is asked now and then in any case, and once asked it must send a byte itself.
struct KeepAlive: Equatable {
    enum Action: Equatable {
        /// Look again after this.
        case wait(TimeAmount)
        /// Send a ping, and look again after this.
        case ping(TimeAmount)
        /// The peer is gone.
        case end
    }

    /// From the last sign of life to the ping.
    private let pingAfter: TimeAmount
    /// From the last byte to the ping, however much was acknowledged.
    private let pingAtLatest: TimeAmount
    /// From the ping to the end.
    private let pongWithin: TimeAmount

    private var heardAt: NIODeadline
    /// When it was asked; nil since it has sent something.
    private var askedAt: NIODeadline?

    init(_ limits: WebConfiguration.Limits, at now: NIODeadline) {
        pingAfter = .milliseconds(limits.pingAfter)
        pingAtLatest = .milliseconds(limits.pingAtLatest)
        pongWithin = .milliseconds(limits.pongWithin)
        heardAt = now
    }

    /// When to look for the first time.
    var first: TimeAmount { pingAfter }

    /// Bytes came.
    mutating func heard(at now: NIODeadline) {
        heardAt = now
        askedAt = nil
    }

    /// - Parameter acknowledged: how long ago the peer's system acknowledged all that it was sent; nil where it did not.
    mutating func looked(at now: NIODeadline, acknowledged: () -> TimeAmount?) -> Action {
        if let askedAt {
            let waited = now - askedAt
            return waited >= pongWithin ? .end : .wait(pongWithin - waited)
        }
        let silence = now - heardAt
        guard silence >= pingAfter else { return .wait(pingAfter - silence) }
        if silence < pingAtLatest, let age = acknowledged(), age < pingAfter {
            // All who get an event acknowledge it together; who looked together, too, would do so amid another event.
            let half = TimeAmount.nanoseconds(pingAfter.nanoseconds / 2)
            return .wait(age < half ? half : pingAfter - age)
        }
        askedAt = now
        return .ping(min(pingAfter, pongWithin))
    }
}
