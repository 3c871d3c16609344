/// Decides what to ask Transmission next, and turns its answers into deltas.

package import Notation
package import Seedbox

/// A pure machine; `TorrentSource` is its shell. One request is under way at a time:
///
///     next → ask → received or failed → next → … → wait → next
///
/// It begins with the session (which version speaks?) and the whole table. Then the hot fields of `recently-active`
/// torrents set the pace, and the cold fields of all follow more slowly. The whole table is asked again whenever what
/// was missed cannot be known: another session id, a gap longer than `recently-active` remembers, and every five minutes.
/// Whatever arrives is compared with what is known; only differences leave. Times are milliseconds on a steady clock.
package struct Watcher: Sendable {
    package enum Scope: Sendable, Hashable {
        case all
        case recent
        case some([InfoHash])
    }

    package enum Request: Sendable, Hashable {
        /// `session-get` and `session-stats`.
        case session
        case torrents(Scope, FieldTable.Selection)

        /// Whether its answer tells what moves: which torrents there are, and their hot fields.
        var isLook: Bool { self == .torrents(.all, .all) || self == .torrents(.recent, .hot) }
    }

    package enum Action: Sendable, Hashable {
        case ask(Request)
        case wait(until: Int64)
    }

    package enum Answer: Sendable, Hashable {
        case session(SessionFigures)
        /// Rows, and for `recent` the ids removed in the last minute.
        case torrents([TorrentRow], removed: [Int64])
    }

    package enum Output: Sendable, Hashable {
        case daemon(DaemonStatus)
        case session([String: Value])
        /// The first table of this history.
        case began
        case delta(Position, Delta)
    }

    /// Nil until the first whole table is in.
    package private(set) var table: TorrentTable?
    package private(set) var daemon: DaemonStatus?
    package private(set) var session: SessionFigures?

    private let timing: WatcherTiming
    private let epoch: Int64
    private var watched = false
    private var retryAt: Int64 = 0
    private var sessionDue: Int64 = 0
    private var hotDue: Int64 = 0
    private var coldDue: Int64 = 0
    /// What a command of ours has changed since it was last asked for: an answer under way does not know it.
    private var owed: Set<FieldTable.Selection> = []
    /// When to look at what programs of ours may have changed, and when it has to be at the latest.
    private var changedDue: (next: Int64, latest: Int64)?
    private var fullDue: Int64 = 0
    private var lastTable: Int64?
    private var daemonSession: String?
    private var ids: [Int64: InfoHash] = [:]
    /// Torrents that `recently-active` told of and whose cold fields are not known yet.
    private var newcomers: Set<InfoHash> = []
    private var extras = ExtrasBook()
    /// The first table, while 3.00 is asked for the names that it wrote wrongly: nobody shall see those.
    private var unfinished: [TorrentRow]?
    /// Newcomers that wait for the same.
    private var held: [InfoHash: TorrentRow] = [:]

    /// At most so many hashes in one request.
    private static let batch = 500
    /// The oldest RPC with the table form: Transmission 3.00.
    private static let oldestRPC: Int64 = 16

    package init(epoch: Int64, timing: WatcherTiming = WatcherTiming()) {
        self.epoch = epoch
        self.timing = timing
    }

    package mutating func setWatched(_ watched: Bool, now: Int64) {
        guard watched != self.watched else { return }
        self.watched = watched
        if watched {
            // Whoever comes now sees whether it is still so.
            retryAt = 0
            hotDue = now
            coldDue = min(coldDue, now + timing.watched)
            sessionDue = min(sessionDue, now + timing.watched)
        }
    }

    /// A command of ours has changed something: look at once.
    package mutating func mutated(now: Int64) {
        changedDue = nil
        owed = [.hot, .cold]
        hotDue = now
        coldDue = now
        sessionDue = min(sessionDue, now + timing.watched)
    }

    /// A program of ours may have changed something. What programs that follow each other change is looked at together.
    package mutating func mayHaveChanged(now: Int64) {
        let latest = changedDue?.latest ?? now + timing.quietAtLatest
        changedDue = (min(now + timing.quiet, latest), latest)
    }

    package mutating func next(now: Int64) -> Action {
        if let due = changedDue?.next, due <= now { mutated(now: now) }
        let action = due(now: now)
        switch action {
        case .ask(.torrents(.all, .all)): owed = []
        case .ask(.torrents(.recent, let selection)), .ask(.torrents(.all, let selection)): owed.remove(selection)
        default: break
        }
        return action
    }

    private func due(now: Int64) -> Action {
        if retryAt > now { return .wait(until: retryAt) }
        if isSessionDue(now: now) { return .ask(.session) }
        if unfinished != nil, let wanted = extras.next(Self.batch) { return .ask(.torrents(.some(wanted), .extras)) }
        if table == nil || fullDue <= now || now - (lastTable ?? now) > timing.gap {
            return .ask(.torrents(.all, .all))
        }
        if !newcomers.isEmpty {
            return .ask(.torrents(.some(Array(newcomers.sorted().prefix(Self.batch))), .all))
        }
        if let wanted = extras.next(Self.batch) { return .ask(.torrents(.some(wanted), .extras)) }
        if hotDue <= now { return .ask(.torrents(.recent, .hot)) }
        if coldDue <= now { return .ask(.torrents(.all, .cold)) }
        return .wait(until: min(fullDue, hotDue, coldDue, changedDue?.next ?? .max))
    }

    /// Right before a look at what moves, so that what both bring can be told together.
    private func isSessionDue(now: Int64) -> Bool {
        session == nil || sessionDue <= now && (table == nil || min(hotDue, fullDue) <= now)
    }

    /// Whether what was found can wait for the look that follows at once.
    package func isMoreComing(after outputs: [Output], now: Int64) -> Bool {
        guard table != nil, retryAt <= now, min(hotDue, fullDue) <= now else { return false }
        return outputs.allSatisfy { if case .session = $0 { true } else { false } }
    }

    /// `daemonSession` is the session id that the answer came with.
    package mutating func received(
        _ answer: Answer,
        to request: Request,
        daemonSession: String,
        now: Int64
    ) -> [Output] {
        var outputs: [Output] = []
        retryAt = 0
        let isNewDaemon = self.daemonSession != nil && self.daemonSession != daemonSession
        self.daemonSession = daemonSession
        if isNewDaemon {
            // Its numbers may have begun anew, so this answer's removals mean nothing to us.
            ids.removeAll()
            fullDue = now
            sessionDue = now
        }
        switch (request, answer) {
        case (.session, .session(let figures)):
            guard figures.rpcVersion >= Self.oldestRPC else {
                return tooOld(figures, now: now)
            }
            extras.isNeeded = figures.rpcVersion < 17
            if figures.values != session?.values { outputs.append(.session(figures.values)) }
            session = figures
            sessionDue = now + timing.session
        case (.torrents(let scope, let selection), .torrents(let rows, let removed)):
            take(rows, removed: isNewDaemon ? [] : removed, scope, selection, now: now, &outputs)
        default: preconditionFailure("an answer of another kind than its request")
        }
        if daemon?.state != .up {
            daemon = DaemonStatus(.up)
            outputs.insert(.daemon(DaemonStatus(.up)), at: 0)
        }
        return outputs
    }

    package mutating func failed(_ error: TransmissionError, now: Int64) -> [Output] {
        retryAt = now + (error.code == .unauthorized ? timing.retryUnauthorized : timing.retry)
        return report(error.daemon)
    }

    /// The request under way is late; its answer may come yet.
    package mutating func late() -> [Output] {
        // A daemon that is known to be away does not come back by being slow.
        guard daemon == nil || daemon?.state == .up else { return [] }
        return report(
            DaemonStatus(
                .busy,
                "Transmission has not answered for \(timing.busy / 1000) seconds. It is probably waiting for its disk; "
                    + "the last data stand."
            )
        )
    }

    package var lateAfter: Int64 { timing.busy }

    private mutating func report(_ status: DaemonStatus) -> [Output] {
        guard daemon != status else { return [] }
        daemon = status
        return [.daemon(status)]
    }

    private mutating func tooOld(_ figures: SessionFigures, now: Int64) -> [Output] {
        retryAt = now + timing.retryUnauthorized
        return report(
            DaemonStatus(.down, "This Transmission is older than 3.00, which the agent cannot watch. Update it.")
        )
    }

    private mutating func take(
        _ rows: [TorrentRow],
        removed: [Int64],
        _ scope: Scope,
        _ selection: FieldTable.Selection,
        now: Int64,
        _ outputs: inout [Output]
    ) {
        for row in rows { ids[row.id] = row.hash }
        if selection == .extras {
            guard case .some(let asked) = scope else { return }
            extras.learn(rows, asked: asked)
            if let unfinished, extras.next(1) == nil {
                begin(unfinished, now: now)
                outputs.append(.began)
                return
            }
        }
        let isWhole = scope == .all && selection == .all
        // The table is used in place from here on: a second reference would make every change copy it.
        guard table != nil else {
            guard isWhole else { return }
            for row in rows {
                var fields = row.fields
                extras.mend(row.hash, &fields)
            }
            if extras.next(1) != nil {
                unfinished = rows
            } else {
                begin(rows, now: now)
                outputs.append(.began)
            }
            return
        }
        var delta = Delta()
        for row in rows {
            guard let known = table!.torrents[row.hash] else {
                appear(row, selection, &delta)
                continue
            }
            let changes = changes(of: known, by: row, selection)
            if !changes.isEmpty { delta.set[row.hash] = changes }
        }
        if selection == .extras, case .some(let asked) = scope {
            for hash in asked {
                guard let row = held.removeValue(forKey: hash) else { continue }
                appear(row, .all, &delta)
            }
        }
        switch scope {
        case .all:
            let present = Set(rows.map(\.hash))
            for hash in table!.torrents.keys where !present.contains(hash) { delta.del.insert(hash) }
            newcomers.formIntersection(present)
            held = held.filter { present.contains($0.key) }
        case .recent:
            for id in removed {
                guard let hash = ids.removeValue(forKey: id) else { continue }
                newcomers.remove(hash)
                held[hash] = nil
                if table!.torrents[hash] != nil, !rows.contains(where: { $0.hash == hash }) { delta.del.insert(hash) }
            }
        case .some(let asked):
            // What is gone again by the time its cold fields are asked.
            if selection == .all { newcomers.subtract(asked) }
        }
        for hash in delta.del { extras.forget(hash) }
        schedule(after: scope, selection, now: now)
        guard !delta.isEmpty else { return }
        table!.apply(delta)
        outputs.append(.delta(table!.position, delta))
    }

    /// A torrent that is not in the table yet. It appears whole: not with half its fields, nor with a broken name.
    private mutating func appear(_ row: TorrentRow, _ selection: FieldTable.Selection, _ delta: inout Delta) {
        switch selection {
        case .all:
            newcomers.remove(row.hash)
            var fields = row.fields
            extras.mend(row.hash, &fields)
            if extras.isWanted(row.hash) {
                held[row.hash] = row
            } else {
                delta.set[row.hash] = fields
            }
        case .hot, .cold:
            if held[row.hash] == nil { newcomers.insert(row.hash) }
        case .extras: break
        }
    }

    private mutating func begin(_ rows: [TorrentRow], now: Int64) {
        var torrents: [InfoHash: Torrent] = [:]
        torrents.reserveCapacity(rows.count)
        for row in rows {
            var fields = row.fields
            extras.mend(row.hash, &fields)
            torrents[row.hash] = Torrent(hash: row.hash, fields)
        }
        unfinished = nil
        table = TorrentTable(position: Position(epoch: epoch, seq: 0), torrents: torrents)
        schedule(after: .all, .all, now: now)
    }

    private mutating func changes(
        of known: Torrent,
        by row: TorrentRow,
        _ selection: FieldTable.Selection
    ) -> [Field: Value] {
        var fields = row.fields
        if selection == .extras {
            fields[.name] = known[.name]
            fields[.files] = known[.files]
        }
        if selection != .hot { extras.mend(row.hash, &fields) }
        // While data move the time of the last transfer is now; a second's difference is no news.
        if let active = fields[.active]?.int, let before = known[.active].int, active > before, active - before < 60,
            (fields[.down]?.int ?? 0) + (fields[.up]?.int ?? 0) > 0
        {
            fields[.active] = nil
        }
        return fields.filter { field, value in known[field] != value }
    }

    private mutating func schedule(after scope: Scope, _ selection: FieldTable.Selection, now: Int64) {
        let hotStep = watched ? timing.watched : timing.unwatched
        let coldStep = watched ? timing.cold : timing.coldUnwatched
        switch (scope, selection) {
        case (.all, .all):
            lastTable = now
            hotDue = now + hotStep
            coldDue = now + coldStep
            fullDue = now + timing.full
        case (.recent, _):
            lastTable = now
            hotDue = now + hotStep
        case (.all, _): coldDue = now + coldStep
        case (.some, _): break
        }
        if owed.contains(.hot) { hotDue = now }
        if owed.contains(.cold) { coldDue = now }
    }
}
