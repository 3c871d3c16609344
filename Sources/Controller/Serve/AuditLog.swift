/// Writes down who did what, in the background: nothing waits for it, and a flood of strangers does not fill the disk.
import Foundation
import Logging
import Seedbox
import ServiceLifecycle
import Store
import Synchronization

final class AuditLog: Service {
    /// Entries that wait for the disk; more are only counted.
    private static let mostPending = 4_096
    /// Failures of one user, or of all strangers, that are kept in a minute; more are only counted.
    private static let mostFailures = 120
    /// Users whose failures are kept in a minute.
    private static let mostFailing = 64
    private static let strangers = "-"
    private static let window: Int64 = 60_000
    /// Addresses whose refused attempts are counted for each in a window; those of more are only counted.
    private static let mostRefused = 64
    /// What is kept: a year, and no more than this many.
    private static let age: Int64 = 365 * 86_400_000
    private static let mostKept = 200_000
    private static let forgetEvery = 1_000

    private struct State {
        var pending: [AuditEntry] = []
        /// Failures of the window that began at `since`, by user: a flood of one's hides nobody else's, and strangers
        /// always have their place.
        var since: Int64 = 0
        var failures = [AuditLog.strangers: 0]
        var omitted = 0
        /// Attempts of the window that were refused unheard after the first, by address.
        var refused: [String: Int] = [:]

        mutating func add(_ entry: AuditEntry) {
            var isKept = pending.count < AuditLog.mostPending
            if entry.outcome != "ok" {
                let isNew = failures[entry.who] == nil && failures.count >= AuditLog.mostFailing
                let count = isNew ? AuditLog.mostFailures : failures[entry.who] ?? 0
                if count < AuditLog.mostFailures { failures[entry.who] = count + 1 } else { isKept = false }
            }
            if isKept { pending.append(entry) } else { omitted += 1 }
        }

        /// Begins another window where this one is over.
        mutating func turn(at now: Int64) {
            guard now - since >= AuditLog.window || now < since else { return }
            takeCounted(at: now)
            since = now
            failures = [AuditLog.strangers: 0]
        }

        /// An entry for each address that was refused more than once, and one for all that were only counted.
        mutating func takeCounted(at now: Int64) {
            for (origin, count) in refused.sorted(by: { $0.key < $1.key }) where count > 0 {
                pending.append(AuditLog.refusal(from: origin, "\(count) more", at: now))
            }
            refused = [:]
            guard omitted > 0 else { return }
            pending.append(
                AuditEntry(at: now, who: "-", origin: "-", action: "audit.omitted", target: "\(omitted) entries")
            )
            omitted = 0
        }
    }

    private let ledger: Ledger
    private let logger: Logger
    private let state = Mutex(State())
    private let bell: (stream: AsyncStream<Void>, ring: AsyncStream<Void>.Continuation)

    init(ledger: Ledger, logger: Logger) {
        self.ledger = ledger
        self.logger = logger
        let (stream, ring) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        bell = (stream, ring)
    }

    /// How a program for `exec` is named: of its arguments only how many, as they may be secrets.
    static func program(_ words: [String], on box: String) -> String {
        "\(box), \(words.first ?? "nothing"), \(max(0, words.count - 1)) arguments"
    }

    /// Takes an entry and returns at once; in the table it stands a moment later.
    func note(_ action: String, who: String?, from origin: String, target: String = "", outcome: String = "ok") {
        let entry = AuditEntry(
            at: Int64(Date.now.timeIntervalSince1970 * 1000),
            who: who ?? Self.strangers,
            origin: origin,
            action: action,
            target: target,
            outcome: outcome
        )
        state.withLock { state in
            state.turn(at: entry.at)
            state.add(entry)
        }
        bell.ring.yield()
    }

    /// Carries out what is to be written down with how it went: `ok`, or a problem's code.
    func noting<Result>(
        _ action: String,
        who: String,
        from origin: String,
        target: String,
        _ body: () async throws -> Result
    ) async throws -> Result {
        do {
            let result = try await body()
            note(action, who: who, from: origin, target: target)
            return result
        } catch let problem as Problem {
            note(action, who: who, from: origin, target: target, outcome: problem.code.rawValue)
            throw problem
        }
    }

    /// Takes a login that was refused unheard: of one address there is an entry at once, and one for all others of a
    /// minute when it is over.
    func noteRefused(from origin: String) {
        let now = Int64(Date.now.timeIntervalSince1970 * 1000)
        state.withLock { state in
            state.turn(at: now)
            if let count = state.refused[origin] {
                state.refused[origin] = count + 1
            } else if state.refused.count < Self.mostRefused {
                // Kept whatever else fails: `mostRefused` bounds it, and a flood of other failures must not hide it.
                state.refused[origin] = 0
                state.pending.append(Self.refusal(from: origin, "", at: now))
            } else {
                state.omitted += 1
            }
        }
        bell.ring.yield()
    }

    /// Writes what was only counted, where its minute is over. To be called now and then.
    func settle() {
        state.withLock { $0.turn(at: Int64(Date.now.timeIntervalSince1970 * 1000)) }
        bell.ring.yield()
    }

    private static func refusal(from origin: String, _ target: String, at now: Int64) -> AuditEntry {
        AuditEntry(
            at: now,
            who: "-",
            origin: origin,
            action: "login.throttled",
            target: target,
            outcome: Problem.Code.refused.rawValue
        )
    }

    func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            var written = Self.forgetEvery
            for await _ in bell.stream {
                written += await write()
                if written >= Self.forgetEvery {
                    written = 0
                    await forget()
                }
            }
        }
        // What came until the end.
        state.withLock { $0.takeCounted(at: Int64(Date.now.timeIntervalSince1970 * 1000)) }
        _ = await write()
    }

    /// Writes what waits; for whoever does not run it.
    func flush() async { _ = await write() }

    private func write() async -> Int {
        let entries = state.withLock { state in
            defer { state.pending = [] }
            return state.pending
        }
        guard !entries.isEmpty else { return 0 }
        do {
            try await ledger.audit.append(entries)
        } catch {
            logger.error(
                "The audit log could not be written.",
                metadata: ["audit.entries": "\(entries.count)", "error.type": "\(type(of: error))"]
            )
        }
        return entries.count
    }

    private func forget() async {
        let before = Int64(Date.now.timeIntervalSince1970 * 1000) - Self.age
        do {
            _ = try await ledger.audit.forget(before: before, keeping: Self.mostKept)
        } catch {
            logger.error("Old audit entries could not be deleted.", metadata: ["error.type": "\(type(of: error))"])
        }
    }
}
