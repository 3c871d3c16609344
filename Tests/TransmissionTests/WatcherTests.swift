import Notation
import Seedbox
import Testing

@testable import Transmission

@Suite struct WatcherTests {
    private static let timing = WatcherTiming()
    private let first = InfoHash(String(repeating: "a", count: 40))!
    private let second = InfoHash(String(repeating: "b", count: 40))!

    private func row(_ hash: InfoHash, _ id: Int64, _ fields: [Field: Value] = [:]) -> TorrentRow {
        TorrentRow(hash: hash, id: id, fields: fields)
    }

    private func figures(_ rpcVersion: Int64 = 17) throws -> SessionFigures {
        try SessionFigures(session: ["rpc-version": .int(rpcVersion), "version": "x"], statistics: nil)
    }

    /// A watcher that has its session and a table of the first torrent at time 0, watched.
    private func watching(_ rpcVersion: Int64 = 17, name: String = "name") throws -> Watcher {
        var watcher = Watcher(epoch: 9)
        watcher.setWatched(true, now: 0)
        #expect(watcher.next(now: 0) == .ask(.session))
        _ = watcher.received(.session(try figures(rpcVersion)), to: .session, daemonSession: "one", now: 0)
        #expect(watcher.next(now: 0) == .ask(.torrents(.all, .all)))
        _ = watcher.received(
            .torrents([row(first, 1, [.name: .string(name), .left: 10, .total: 10])], removed: []),
            to: .torrents(.all, .all),
            daemonSession: "one",
            now: 0
        )
        return watcher
    }

    private let hot = Watcher.Request.torrents(.recent, .hot)
    private let full = Watcher.Request.torrents(.all, .all)

    @Test func `it begins with the session and the whole table, then waits for the hot fields`() throws {
        var watcher = try watching()
        #expect(watcher.table?.position == Position(epoch: 9, seq: 0))
        #expect(watcher.daemon == DaemonStatus(.up))
        #expect(watcher.next(now: 1) == .wait(until: Self.timing.watched))
        #expect(watcher.next(now: Self.timing.watched) == .ask(hot))
    }

    @Test func `only differences leave`() throws {
        var watcher = try watching()
        let same = watcher.received(
            .torrents([row(first, 1, [.left: 10])], removed: []),
            to: hot,
            daemonSession: "one",
            now: 1
        )
        #expect(same == [])
        let changed = watcher.received(
            .torrents([row(first, 1, [.left: 5, .name: "name"])], removed: []),
            to: hot,
            daemonSession: "one",
            now: 2
        )
        #expect(changed == [.delta(Position(epoch: 9, seq: 1), Delta(set: [first: [.left: 5]]))])
    }

    @Test func `a newcomer is asked for whole before anybody hears of it`() throws {
        var watcher = try watching()
        let news = watcher.received(
            .torrents([row(second, 2, [.left: 3])], removed: []),
            to: hot,
            daemonSession: "one",
            now: 1
        )
        #expect(news == [])
        #expect(watcher.next(now: 1) == .ask(.torrents(.some([second]), .all)))
        let whole = watcher.received(
            .torrents([row(second, 2, [.left: 3, .name: "new"])], removed: []),
            to: .torrents(.some([second]), .all),
            daemonSession: "one",
            now: 2
        )
        #expect(whole == [.delta(Position(epoch: 9, seq: 1), Delta(set: [second: [.left: 3, .name: "new"]]))])
    }

    @Test func `a newcomer that is gone again is forgotten`() throws {
        var watcher = try watching()
        _ = watcher.received(.torrents([row(second, 2)], removed: []), to: hot, daemonSession: "one", now: 1)
        _ = watcher.received(
            .torrents([], removed: []),
            to: .torrents(.some([second]), .all),
            daemonSession: "one",
            now: 1
        )
        #expect(watcher.next(now: 1) == .wait(until: 1 + Self.timing.watched))
    }

    @Test func `removals come by number and are told by hash, once`() throws {
        var watcher = try watching()
        let gone = watcher.received(.torrents([], removed: [1, 77]), to: hot, daemonSession: "one", now: 1)
        #expect(gone == [.delta(Position(epoch: 9, seq: 1), Delta(del: [first]))])
        #expect(watcher.received(.torrents([], removed: [1]), to: hot, daemonSession: "one", now: 2) == [])
    }

    @Test func `the storm of unchanged rows after a removal is silent`() throws {
        var watcher = try watching()
        for time in Int64(1)...30 {
            let rows = [row(first, 1, [.left: 10, .status: .null])]
            #expect(watcher.received(.torrents(rows, removed: []), to: hot, daemonSession: "one", now: time) == [])
        }
    }

    @Test func `another session id brings the whole table, and its numbers are not trusted`() throws {
        var watcher = try watching()
        let outputs = watcher.received(.torrents([], removed: [1]), to: hot, daemonSession: "two", now: 1)
        #expect(outputs == [])
        #expect(watcher.next(now: 1) == .ask(.session))
        _ = watcher.received(.session(try figures()), to: .session, daemonSession: "two", now: 1)
        #expect(watcher.next(now: 1) == .ask(full))
        let resynced = watcher.received(
            .torrents([row(second, 1, [.name: "b"])], removed: []),
            to: full,
            daemonSession: "two",
            now: 2
        )
        #expect(resynced == [.delta(Position(epoch: 9, seq: 1), Delta(set: [second: [.name: "b"]], del: [first]))])
    }

    @Test func `after a gap longer than recently-active remembers comes the whole table`() throws {
        var watcher = try watching()
        let late = Self.timing.gap + 1
        _ = watcher.received(.session(try figures()), to: .session, daemonSession: "one", now: late)
        #expect(watcher.next(now: late) == .ask(full))
    }

    @Test func `everything is asked every five minutes, cold fields more often`() throws {
        var watcher = try watching()
        var asked: [Watcher.Request: Int] = [:]
        var now: Int64 = 0
        while now < Self.timing.full + 1000 {
            switch watcher.next(now: now) {
            case .wait(let until):
                #expect(until > now)
                now = until
            case .ask(let request):
                asked[request, default: 0] += 1
                now += 5
                switch request {
                case .session:
                    _ = watcher.received(.session(try figures()), to: request, daemonSession: "one", now: now)
                case .torrents(.recent, _):
                    _ = watcher.received(.torrents([], removed: []), to: request, daemonSession: "one", now: now)
                case .torrents:
                    _ = watcher.received(
                        .torrents([row(first, 1)], removed: []),
                        to: request,
                        daemonSession: "one",
                        now: now
                    )
                }
            }
        }
        #expect(asked[full] == 1)
        #expect((5...8).contains(asked[.torrents(.all, .cold)] ?? 0))
        #expect((140...151).contains(asked[hot] ?? 0))
    }

    @Test func `the session is asked right before what moves, and told together with it`() throws {
        var watcher = try watching()
        var now: Int64 = 0
        // It is due between two looks, and waits for the second.
        while case .wait(let until) = watcher.next(now: now), until < Self.timing.session {
            #expect(watcher.next(now: until) == .ask(hot))
            now = until + 1
            _ = watcher.received(.torrents([], removed: []), to: hot, daemonSession: "one", now: now)
            #expect(!watcher.isMoreComing(after: [], now: now))
        }
        #expect(watcher.next(now: Self.timing.session) == .wait(until: now + Self.timing.watched))
        let next = now + Self.timing.watched
        #expect(watcher.next(now: next) == .ask(.session))
        let figures = try SessionFigures(session: ["rpc-version": 17, "version": "y"], statistics: nil)
        let outputs = watcher.received(.session(figures), to: .session, daemonSession: "one", now: next)
        #expect(outputs == [.session(figures.values)])
        #expect(watcher.isMoreComing(after: outputs, now: next))
        #expect(watcher.next(now: next) == .ask(hot))
        // What does not come is not waited for.
        let failure = watcher.failed(TransmissionError(.down, "It is away."), now: next)
        #expect(!watcher.isMoreComing(after: failure, now: next))
    }

    @Test(arguments: [(true, 45), (false, 60)])
    func `cold fields are asked for every 45 seconds, and every 60 while nobody watches`(
        _ watched: Bool,
        _ seconds: Int64
    ) throws {
        var watcher = try watching()
        watcher.setWatched(watched, now: 0)
        let cold = Watcher.Request.torrents(.all, .cold)
        _ = watcher.received(.torrents([row(first, 1)], removed: []), to: cold, daemonSession: "one", now: 0)
        let due = seconds * 1000
        for now in [due - 1, due] {
            _ = watcher.received(.session(try figures()), to: .session, daemonSession: "one", now: now)
            _ = watcher.received(.torrents([], removed: []), to: hot, daemonSession: "one", now: now)
            #expect((watcher.next(now: now) == .ask(cold)) == (now == due))
        }
    }

    @Test func `without a watcher it asks seldom, and at once when one comes`() throws {
        var watcher = try watching()
        watcher.setWatched(false, now: 0)
        _ = watcher.received(.torrents([], removed: []), to: hot, daemonSession: "one", now: 0)
        #expect(watcher.next(now: 1) == .wait(until: Self.timing.unwatched))
        watcher.setWatched(true, now: 5)
        #expect(watcher.next(now: 5) == .ask(hot))
    }

    @Test func `after a command of ours hot and cold fields are asked at once`() throws {
        var watcher = try watching()
        watcher.mutated(now: 3)
        #expect(watcher.next(now: 3) == .ask(hot))
        _ = watcher.received(.torrents([], removed: []), to: hot, daemonSession: "one", now: 3)
        #expect(watcher.next(now: 3) == .ask(.torrents(.all, .cold)))
    }

    @Test func `what a command of ours changes while an answer is under way is asked for after it`() throws {
        var watcher = try watching()
        let cold = Watcher.Request.torrents(.all, .cold)
        for underWay in [hot, cold] {
            watcher.mutated(now: 3)
            #expect(watcher.next(now: 3) == .ask(hot))
            if underWay == cold {
                _ = watcher.received(.torrents([], removed: []), to: hot, daemonSession: "one", now: 3)
                #expect(watcher.next(now: 3) == .ask(cold))
            }
            watcher.mayHaveChanged(now: 4)
            watcher.mutated(now: 5)
            _ = watcher.received(.torrents([row(first, 1)], removed: []), to: underWay, daemonSession: "one", now: 6)
            for request in [hot, cold] {
                #expect(watcher.next(now: 6) == .ask(request))
                _ = watcher.received(.torrents([row(first, 1)], removed: []), to: request, daemonSession: "one", now: 6)
            }
            #expect(watcher.next(now: 6) == .wait(until: 6 + Self.timing.watched))
        }
    }

    @Test func `what programs may have changed is looked at when it is quiet, and however busy they are before long`()
        throws
    {
        let (quiet, latest) = (Self.timing.quiet, Self.timing.quietAtLatest)
        var watcher = try watching()
        watcher.setWatched(false, now: 0)
        watcher.mayHaveChanged(now: 10)
        #expect(watcher.next(now: 10) == .wait(until: 10 + quiet))
        watcher.mayHaveChanged(now: 9 + quiet)
        #expect(watcher.next(now: 10 + quiet) == .wait(until: 9 + 2 * quiet))
        for now in stride(from: 10, through: 10 + latest, by: Int(quiet / 2)) {
            watcher.mayHaveChanged(now: Int64(now))
        }
        #expect(watcher.next(now: 9 + latest) == .wait(until: 10 + latest))
        #expect(watcher.next(now: 10 + latest) == .ask(hot))
        _ = watcher.received(.torrents([], removed: []), to: hot, daemonSession: "one", now: 10 + latest)
        #expect(watcher.next(now: 10 + latest) == .ask(.torrents(.all, .cold)))
        // The next begin anew.
        watcher.mayHaveChanged(now: 20 + latest)
        watcher.mayHaveChanged(now: 10 + latest + quiet)
        _ = watcher.received(
            .torrents([row(first, 1)], removed: []),
            to: .torrents(.all, .cold),
            daemonSession: "one",
            now: 10 + latest + quiet
        )
        #expect(watcher.next(now: 10 + latest + quiet) == .wait(until: 10 + latest + 2 * quiet))
    }

    @Test func `busy, down and unauthorized are three things, told once each, and the table stays`() throws {
        var watcher = try watching()
        #expect(watcher.failed(TransmissionError(.busy, "b"), now: 1) == [.daemon(DaemonStatus(.busy, "b"))])
        #expect(watcher.failed(TransmissionError(.busy, "b"), now: 2) == [])
        #expect(watcher.next(now: 2) == .wait(until: 2 + Self.timing.retry))
        #expect(watcher.failed(TransmissionError(.down, "d"), now: 3) == [.daemon(DaemonStatus(.down, "d"))])
        let refused = watcher.failed(TransmissionError(.unauthorized, "u"), now: 4)
        #expect(refused == [.daemon(DaemonStatus(.unauthorized, "u"))])
        #expect(watcher.next(now: 4) == .wait(until: 4 + Self.timing.retryUnauthorized))
        #expect(watcher.table?.torrents.count == 1)
        let back = watcher.received(.torrents([], removed: []), to: hot, daemonSession: "one", now: 20_000)
        #expect(back == [.daemon(DaemonStatus(.up))])
    }

    @Test func `whoever begins to watch a daemon that is down does not wait for the next try`() throws {
        var watcher = try watching()
        watcher.setWatched(false, now: 1)
        _ = watcher.failed(TransmissionError(.unauthorized, "u"), now: 2)
        #expect(watcher.next(now: 3) == .wait(until: 2 + Self.timing.retryUnauthorized))
        watcher.setWatched(true, now: 3)
        #expect(watcher.next(now: 3) == .ask(hot))
    }

    @Test func `a late answer makes the daemon busy, a missing one that is late does not`() throws {
        var watcher = try watching()
        #expect(watcher.late().count == 1)
        #expect(watcher.daemon?.state == .busy)
        #expect(watcher.late() == [])
        _ = watcher.failed(TransmissionError(.down, "d"), now: 1)
        #expect(watcher.late() == [])
    }

    @Test func `3_00 is asked for broken names before the first table is shown`() throws {
        var watcher = try watching(16, name: "\u{1F9C}5")
        #expect(watcher.table == nil)
        let extras = Watcher.Request.torrents(.some([first]), .extras)
        #expect(watcher.next(now: 0) == .ask(extras))
        var answer = row(first, 1)
        answer.magnetLink = "magnet:?dn=%F0%9F%A7%85"
        answer.fileCount = 4
        let outputs = watcher.received(.torrents([answer], removed: []), to: extras, daemonSession: "one", now: 1)
        #expect(outputs == [.began])
        #expect(watcher.table?.torrents[first]?.name == "🧅")
        #expect(watcher.table?.torrents[first]?[.files] == 4)
        // The same wreck again is no change.
        let again = watcher.received(
            .torrents([row(first, 1, [.name: "\u{1F9C}5", .total: 10, .left: 10])], removed: []),
            to: full,
            daemonSession: "one",
            now: 2
        )
        #expect(again == [])
    }

    @Test func `a newcomer of 3_00 appears with its whole name`() throws {
        var watcher = try watching(16)
        answerExtras(&watcher)
        _ = watcher.received(.torrents([row(second, 2)], removed: []), to: hot, daemonSession: "one", now: 1)
        let broken = row(second, 2, [.name: "\u{1F9C}5", .total: 1])
        let some = Watcher.Request.torrents(.some([second]), .all)
        #expect(watcher.received(.torrents([broken], removed: []), to: some, daemonSession: "one", now: 1) == [])
        var answer = row(second, 2)
        answer.magnetLink = "magnet:?dn=%F0%9F%A7%85"
        let extras = Watcher.Request.torrents(.some([second]), .extras)
        #expect(watcher.next(now: 1) == .ask(extras))
        let outputs = watcher.received(.torrents([answer], removed: []), to: extras, daemonSession: "one", now: 1)
        #expect(
            outputs == [.delta(Position(epoch: 9, seq: 1), Delta(set: [second: [.name: "🧅", .total: 1]]))]
        )
    }

    private func answerExtras(_ watcher: inout Watcher) {
        guard case .ask(let request) = watcher.next(now: 0) else { return }
        _ = watcher.received(.torrents([row(first, 1)], removed: []), to: request, daemonSession: "one", now: 0)
    }

    @Test func `a daemon older than the table form is named as such`() throws {
        var watcher = Watcher(epoch: 9)
        _ = watcher.next(now: 0)
        let outputs = watcher.received(.session(try figures(15)), to: .session, daemonSession: "one", now: 0)
        #expect(outputs.count == 1)
        #expect(watcher.daemon?.state == .down)
    }

    @Test func `the time of the last transfer is no news while data move`() throws {
        var watcher = try watching()
        func hotRow(_ active: Int64, _ down: Int64) -> Watcher.Answer {
            .torrents([row(first, 1, [.active: .int(active), .down: .int(down)])], removed: [])
        }
        _ = watcher.received(hotRow(100, 5), to: hot, daemonSession: "one", now: 1)
        #expect(watcher.received(hotRow(110, 5), to: hot, daemonSession: "one", now: 2) == [])
        #expect(watcher.received(hotRow(161, 5), to: hot, daemonSession: "one", now: 3).count == 1)
        let stopped = watcher.received(hotRow(170, 0), to: hot, daemonSession: "one", now: 4)
        #expect(stopped == [.delta(Position(epoch: 9, seq: 3), Delta(set: [first: [.active: 170, .down: 0]]))])
    }
}
