/// One `watch` call: tells a controller what changes, as fast as it takes it and no faster.

import Calls
import Notation
import Seedbox
import Transmission

/// There is no queue. Whenever the caller has credit, the next event is made from what is newest and what was sent last;
/// a slow caller so gets fewer and larger events. What is small and due at the same moment goes out in one write, and so
/// in one packet.
struct Watch {
    private struct Topics: OptionSet {
        var rawValue: Int
        static let torrents = Topics(rawValue: 1)
        static let session = Topics(rawValue: 2)
        static let host = Topics(rawValue: 4)
        static let daemon = Topics(rawValue: 8)
    }

    /// Bytes of one event, by estimate; a frame holds 256 KiB.
    static let largestEvent = 200_000

    /// Bytes that events take together at most, by estimate; about what SSH puts into a packet.
    static let largestWrite = 32_000

    /// The longest wait for a fresh look at the daemon; after it the last known state is told.
    static let patience = Duration.seconds(3)

    private let call: IncomingCall
    private let core: AgentCore
    private let connection: Int
    private let topics: Topics
    /// Where the caller's table stands; nil before its first snapshot.
    private var position: Position?
    /// Empty deltas still owed to the numbering, after several were sent as one.
    private var owed: Int64 = 0
    private var snapshot: Snapshot?
    /// Nil where the caller has not asked for steps.
    private var told: ToldNumbers?
    private var sentDaemon: DaemonStatus?
    private var sentSession = -1
    private var sentHost = -1

    /// A snapshot under way, all its parts of one position.
    private struct Snapshot {
        var position: Position
        var parts: [[Torrent]]
        var next = 0
    }

    init(_ call: IncomingCall, core: AgentCore, connection: Int) throws {
        self.call = call
        self.core = core
        self.connection = connection
        var topics: Topics = []
        if let names = call.arguments["topics"] {
            for name in names.array ?? [] {
                switch name.string {
                case "torrents": topics.insert(.torrents)
                case "session": topics.insert(.session)
                case "host": topics.insert(.host)
                case "daemon": topics.insert(.daemon)
                default: break
                }
            }
            guard !topics.isEmpty else {
                throw Problem(.badRequest, "`topics` names none of torrents, session, host and daemon.")
            }
        } else {
            topics = [.torrents, .session, .host, .daemon]
        }
        self.topics = topics
        if let after = call.arguments["after"], !after.isNull {
            guard let position = Position(after) else {
                throw Problem(.badRequest, "`after` is not of the form {epoch, seq}.")
            }
            self.position = position
        }
        if call.arguments["steps"] == true { told = ToldNumbers() }
    }

    consuming func run() async throws -> Value {
        let bell = Wakeup()
        let listener = core.source.subscribe(bell, on: connection)
        let hostListener = core.host.subscribe(bell)
        defer {
            core.source.unsubscribe(listener)
            core.host.unsubscribe(hostListener)
        }
        // What nobody watched may be half a minute old; a daemon that does not answer holds nobody up for long.
        let look = core.source.freshLook
        let deadline = ContinuousClock.now + Self.patience
        while !core.source.isOver(look: look), ContinuousClock.now < deadline {
            await bell.wait(upTo: deadline - .now)
            try Task.checkCancellation()
        }
        while true {
            try await call.ready()
            let (events, isAll) = due(within: min(Self.largestWrite, call.credit))
            try await call.emit(events)
            // What came up since then waits for its bell, which may have rung already.
            guard isAll else { continue }
            await bell.wait()
            try Task.checkCancellation()
        }
    }

    /// The events that are due, as many as fit, and whether that is all of them.
    private mutating func due(within limit: Int) -> (events: [Value], isAll: Bool) {
        var events: [Value] = []
        var size = 0
        while size < limit {
            guard let event = next()?.value else { return (events, true) }
            size += ReplayLog.estimate(event)
            events.append(event)
        }
        return (events, false)
    }

    /// The next event that is due, newest state first asked for here.
    private mutating func next() -> Event? {
        guard let daemon = core.source.daemon else { return nil }
        if topics.contains(.daemon), daemon != sentDaemon {
            sentDaemon = daemon
            return .daemon(daemon, age: core.source.age)
        }
        if topics.contains(.torrents), let event = nextTorrents() { return event }
        if topics.contains(.session), let (version, figures) = core.source.session, version != sentSession {
            sentSession = version
            return .session(figures)
        }
        if topics.contains(.host), let (version, figures) = core.host.figures, version != sentHost {
            sentHost = version
            return .host(figures)
        }
        return nil
    }

    private mutating func nextTorrents() -> Event? {
        if var current = snapshot {
            let part = current.next
            current.next += 1
            if current.next == current.parts.count {
                position = current.position
                snapshot = nil
            } else {
                snapshot = current
            }
            return .snapshot(
                position: current.position,
                part: part,
                parts: current.parts.count,
                torrents: current.parts[part]
            )
        }
        if owed > 0, let position {
            owed -= 1
            self.position = position.next
            return .delta(position: position.next, Delta())
        }
        switch core.source.progress(since: position) {
        case .none: return nil
        case .snapshot(let table): return begin(table)
        case .deltas(let deltas):
            guard let position, !deltas.isEmpty else { return nil }
            let merged = ReplayLog.merged(deltas)
            // Too large for a frame, or no smaller than all there is.
            if ReplayLog.estimate(merged) > Self.largestEvent, let table = core.source.table { return begin(table) }
            // Each delta's number is its predecessor's plus one. What was several goes out with the number of the first,
            // then come as many empty ones: a caller that leaves in between has then seen too much, never too little.
            owed = Int64(deltas.count) - 1
            self.position = position.next
            let (delta, steps) = told?.split(merged) ?? (merged, [:])
            return .delta(position: position.next, delta, steps: steps)
        }
    }

    private mutating func begin(_ table: TorrentTable) -> Event? {
        owed = 0
        told?.forget()
        snapshot = Snapshot(position: table.position, parts: Self.parts(of: table))
        return nextTorrents()
    }

    /// At least one part, which is empty where there are no torrents.
    static func parts(of table: TorrentTable) -> [[Torrent]] {
        var parts: [[Torrent]] = [[]]
        var size = 0
        for torrent in table.torrents.values.sorted(by: { $0.hash < $1.hash }) {
            let row = Field.allCases.reduce(44) { $0 + ReplayLog.estimate(torrent[$1]) }
            if size + row > Self.largestEvent, !parts[parts.count - 1].isEmpty {
                parts.append([])
                size = 0
            }
            parts[parts.count - 1].append(torrent)
            size += row
        }
        return parts
    }
}
