/// One websocket of the realm: decodes what comes, writes what goes, and keeps a slow reader's backlog small.
import NIOCore
import Notation
import WAMP

/// Confined to its event loop.
final class RealmSocket: WebSocketUser {
    /// How often a reader that does not keep up is looked at within the time that it may read nothing.
    private static let looks: Int64 = 6

    /// A topic of a subscription whose events were left out; its newest state is sent instead once there is room.
    private struct Stale: Hashable {
        var subscription: Int64
        var topic: String
    }

    let number: Int
    let opening: SocketOpening
    private let dialect: Dialect
    private unowned let table: RealmLoop
    let realm: Realm
    private var limits: WebConfiguration.Limits { realm.limits }

    private(set) var socket: WebSocketHandler?
    /// Where it stands in its loop's table.
    var place = 0
    /// Subscriptions that it takes part in.
    var subscriptions: Set<Int64> = []

    /// The translation for a client of WAMP v1; there soon after the socket opens.
    var legacy: LegacySession?
    /// What such a client has sent before.
    var early: [[UInt8]] = []

    private var rate: RateLimit
    /// Bytes written since the reader stopped keeping up.
    private var overflow = 0
    /// With the details of what was left out.
    private var stale: [Stale: [String: Value]] = [:]
    private var watch: Scheduled<Void>?
    /// What was queued when last looked at, and since when it has not become less.
    private var lastQueued = Int.max
    private var stuckSince = NIODeadline.now()

    init(number: Int, opening: SocketOpening, dialect: Dialect, table: RealmLoop, realm: Realm) {
        self.number = number
        self.opening = opening
        self.dialect = dialect
        self.table = table
        self.realm = realm
        rate = RateLimit(
            perSecond: realm.limits.messagesPerSecond,
            burst: realm.limits.messageBurst,
            at: .now()
        )
    }

    // MARK: What comes

    func opened(_ socket: WebSocketHandler) {
        self.socket = socket
        table.opened(self)
        realm.opened(number: number, opening: opening, dialect: dialect, loop: table.loop)
    }

    func received(_ opcode: WebSocketOpcode, _ message: ByteBuffer) {
        guard (opcode == .binary) == dialect.isBinary else {
            socket?.close(
                .unacceptableData,
                "The subprotocol's messages are \(dialect.isBinary ? "binary" : "text")."
            )
            return
        }
        guard rate.take(at: .now()) else {
            socket?.close(.policyViolation, "Too many messages. Send at most \(limits.messagesPerSecond) a second.")
            return
        }
        let bytes = Array(message.readableBytesView)
        guard case .current(let serializer) = dialect else {
            receivedLegacy(bytes)
            return
        }
        let notation = NotationLimits(depth: limits.messageDepth, elements: limits.messageElements)
        let result: Result<Message, Violation>
        do throws(Violation) {
            result = .success(try serializer.decode(bytes, limits: notation))
        } catch {
            result = .failure(error)
        }
        realm.received(result, number: number)
    }

    func directChanged(_ descriptor: NIOBSDSocket.Handle?) {
        // What a client of WAMP v1 gets is written for it alone.
        guard case .current(let serializer) = dialect else { return }
        table.directChanged(self, descriptor, serializer)
    }

    func closed() {
        watch?.cancel()
        socket = nil
        table.closed(self)
        realm.closed(number: number)
    }

    /// The session is welcome: its messages may be larger now.
    func welcomed() {
        socket?.maximumMessage = limits.messageBytes
    }

    // MARK: What goes

    func send(_ message: Message) {
        for frame in frames(of: message) { send(frame) }
    }

    /// A message of the router as this client reads it: whole websocket frames.
    private func frames(of message: Message) -> [ByteBuffer] {
        switch dialect {
        case .current(let serializer): [SharedFrame.encode(message, as: serializer)]
        case .legacy: legacyFrames(of: message)
        }
    }

    /// Sends an answer or an event that cannot be left out.
    func send(_ frame: ByteBuffer) {
        guard let socket else { return }
        if !socket.isWritable {
            guard overflow <= limits.backlogBytes else {
                tooSlow()
                return
            }
            fellBehind(by: frame.readableBytes)
        }
        socket.send(frame)
    }

    /// Sends an event, or leaves it out where the reader has enough to read and its newest state can follow later.
    func deliver(_ frames: inout FrameReader, _ delivery: RealmLoop.Event) {
        guard let socket else { return }
        guard case .current(let serializer) = dialect else {
            deliverTranslated(frames.message, delivery, socket)
            return
        }
        if delivery.isConflatable, isStale(delivery) { return }
        let frame = frames[serializer]
        if socket.isWritable {
            socket.deliver(frame)
        } else if !delivery.isConflatable {
            send(frame)
        } else if overflow + frame.readableBytes <= limits.conflateBytes {
            fellBehind(by: frame.readableBytes)
            socket.send(frame)
        } else {
            leaveOut(delivery)
        }
    }

    /// As `deliver`, for a client whose events are written for it alone.
    private func deliverTranslated(_ message: Message, _ delivery: RealmLoop.Event, _ socket: WebSocketHandler) {
        if delivery.isConflatable {
            guard !isStale(delivery) else { return }
            guard socket.isWritable else {
                leaveOut(delivery)
                return
            }
        }
        send(message)
    }

    /// Sends the newest state of a topic, now or as soon as there is room.
    func sendState(topic: String, subscription: Int64, publication: Int64, details: [String: Value]) {
        guard let socket else { return }
        guard socket.isWritable else {
            stale[Stale(subscription: subscription, topic: topic)] = details
            fellBehind(by: 0)
            return
        }
        stale[Stale(subscription: subscription, topic: topic)] = nil
        guard let state = realm.state(of: topic) else { return }
        var details = details
        details["retained"] = true
        let message = Message.event(
            subscription: subscription,
            publication: publication,
            details: details,
            payload: Realm.payload(state)
        )
        for frame in frames(of: message) { socket.send(frame) }
    }

    func left(_ subscription: Int64) {
        subscriptions.remove(subscription)
        stale = stale.filter { $0.key.subscription != subscription }
    }

    func becameWritable() {
        watch?.cancel()
        watch = nil
        overflow = 0
        // One state may fill the buffer again; the others then wait for the next turn.
        for (missed, details) in stale.sorted(by: {
            ($0.key.subscription, $0.key.topic) < ($1.key.subscription, $1.key.topic)
        }) {
            guard socket?.isWritable == true else { break }
            sendState(
                topic: missed.topic,
                subscription: missed.subscription,
                publication: Realm.newPublication(),
                details: details
            )
        }
    }

    // MARK: Slow readers

    /// The newest state will be sent instead.
    private func leaveOut(_ event: RealmLoop.Event) {
        fellBehind(by: 0)
        if stale.isEmpty { realm.census.slowReaderConflated() }
        stale[Stale(subscription: event.subscription, topic: event.topic)] = event.details
    }

    private func isStale(_ event: RealmLoop.Event) -> Bool {
        !stale.isEmpty && stale[Stale(subscription: event.subscription, topic: event.topic)] != nil
    }

    private func fellBehind(by bytes: Int) {
        overflow += bytes
        guard watch == nil else { return }
        lastQueued = .max
        stuckSince = .now()
        look()
    }

    /// A reader that takes nothing at all for a while is sent away; one that is only slow is not.
    private func look() {
        let delay = TimeAmount.milliseconds(limits.backlogWithin / Self.looks)
        watch = table.loop.assumeIsolated().scheduleTask(in: delay) { [weak self] in
            guard let self, let socket else { return }
            let queued = socket.queuedBytes
            if queued < lastQueued { stuckSince = .now() }
            lastQueued = queued
            if NIODeadline.now() - stuckSince >= .milliseconds(limits.backlogWithin) {
                tooSlow()
            } else {
                look()
            }
        }
    }

    private func tooSlow() {
        stale = [:]
        guard let socket, socket.isOpen else { return }
        realm.census.slowReaderClosed()
        socket.close(.tryAgainLater, "You read too slowly. Come back.")
    }
}

/// A bucket of tokens: so many messages at once, so many a second in the long run.
struct RateLimit {
    private let perSecond: Double
    private let burst: Double
    private var tokens: Double
    private var filledAt: NIODeadline

    init(perSecond: Int, burst: Int, at now: NIODeadline) {
        self.perSecond = Double(perSecond)
        self.burst = Double(burst)
        tokens = Double(burst)
        filledAt = now
    }

    /// False where the bucket is empty.
    mutating func take(at now: NIODeadline) -> Bool {
        let seconds = Double((now - filledAt).nanoseconds) / 1e9
        tokens = min(burst, tokens + seconds * perSecond)
        filledAt = now
        guard tokens >= 1 else { return false }
        tokens -= 1
        return true
    }
}
