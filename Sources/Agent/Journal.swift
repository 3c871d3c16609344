/// Carries each keyed command out once, however often it is sent.

import Glibc
import Logging
import Notation
import Seedbox
import Synchronization
import Transmission

/// The order is: note that it begins, synced; do it; note the result, synced; reply. A repetition of a command that is
/// under way waits for it, one that is done gets the noted result with `repeated`, and one that was begun by a process
/// that is no more is carried out as an `Attempt` that says so, so that the verb looks before it acts.
final class Journal: Sendable {
    /// Bytes of a key.
    static let longestKey = 128
    /// How long a process that has begun the same command is waited for, which may be dying just now; and between looks.
    private static let patience = Duration.seconds(10)
    private static let pause = Duration.milliseconds(50)

    private struct State {
        var file: JournalFile?
        var underWay: [String: (digest: String, task: Task<Value, any Error>)] = [:]
    }

    private let state: Mutex<State>
    private let process: String

    init(_ directory: StateDirectory?) {
        process = Self.identity(of: getpid()) ?? ""
        state = Mutex(State(file: directory.map(JournalFile.init)))
    }

    /// Runs `action` unless the `key` of `arguments` says that it ran; without a key it always runs. `action` goes on to
    /// its end when the caller is lost. Its argument says what is known of attempts by agents that were killed.
    func once(
        _ procedure: String,
        _ arguments: Value,
        _ action: @escaping @Sendable (Attempt) async throws -> Value
    ) async throws -> Value {
        guard let given = arguments["key"], !given.isNull else {
            // Unstructured: a command that has begun is not cut in half because the connection was lost.
            return try await Task {
                do {
                    return try await action(.only)
                } catch let unsettled as UnsettledProblem {
                    throw unsettled.problem
                }
            }.value
        }
        guard let key = given.string, !key.isEmpty, key.utf8.count <= Self.longestKey,
            key.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
        else {
            throw Problem(.badRequest, "`key` must be 1 to \(Self.longestKey) printable characters without spaces.")
        }
        let digest = Self.digest(procedure, arguments)
        let deadline = ContinuousClock.now + Self.patience
        while true {
            let step = try state.withLock { state in try begin(key, digest, &state, action) }
            switch step {
            case .result(let result): return result
            case .task(let task): return try await task.value
            case .elsewhere:
                guard ContinuousClock.now < deadline else {
                    // Not a conflict, which would end the command's job though it may still be carried out.
                    throw Problem(.timedOut, "Another agent on the seedbox is carrying this command out. Ask again.")
                }
                try await Task.sleep(for: Self.pause)
            }
        }
    }

    private enum Step {
        case result(Value)
        case task(Task<Value, any Error>)
        /// Another process that is still there has begun it.
        case elsewhere
    }

    private func begin(
        _ key: String,
        _ digest: String,
        _ state: inout State,
        _ action: @escaping @Sendable (Attempt) async throws -> Value
    ) throws(Problem) -> Step {
        if let (earlier, task) = state.underWay[key] {
            guard earlier == digest else { throw Self.conflict(key) }
            return .task(task)
        }
        var attempt = Attempt(mayBeDone: false, before: nil) { [self] before in try note(key, digest, before) }
        var result: Value?
        var isElsewhere = false
        let now = WallClock.seconds
        try state.file?.locked(now: now) { file throws(Problem) in
            if let record = file.records[key] {
                guard record.digest == digest else { throw Self.conflict(key) }
                switch record.entry {
                case .done(let value):
                    result = value
                    return
                case .begun(let process, let before):
                    guard process == self.process || !Self.isAlive(process) else {
                        isElsewhere = true
                        return
                    }
                    attempt.mayBeDone = true
                    attempt.before = before
                }
            }
            try file.append(key, digest, .begun(process: process, before: attempt.before), now: now)
        }
        if isElsewhere { return .elsewhere }
        if let result {
            return .result(.map((result.map ?? [:]).merging(["repeated": true]) { _, new in new }))
        }
        let task = Task { [attempt] in
            do {
                let result = try await action(attempt)
                self.end(key, digest, result)
                return result
            } catch let unsettled as UnsettledProblem {
                // It stays begun: a repetition finds out what became of it.
                self.state.withLock { $0.underWay[key] = nil }
                throw unsettled.problem
            } catch {
                self.end(key, digest, nil)
                throw error
            }
        }
        state.underWay[key] = (digest, task)
        return .task(task)
    }

    /// What a repetition must know to tell whether this attempt acted.
    private func note(_ key: String, _ digest: String, _ before: Value) throws(Problem) {
        try state.withLock { state throws(Problem) in
            let now = WallClock.seconds
            try state.file?.locked(now: now) { file throws(Problem) in
                try file.append(key, digest, .begun(process: process, before: before), now: now)
            }
        }
    }

    /// The command is done whatever becomes of the note; without it a repetition looks before it acts.
    private func end(_ key: String, _ digest: String, _ result: Value?) {
        state.withLock { state in
            state.underWay[key] = nil
            let now = WallClock.seconds
            _ = try? state.file?.locked(now: now) { file throws(Problem) in
                let entry = result.map { JournalFile.Entry.done(Self.short($0)) }
                try file.append(key, digest, entry, now: now)
            }
        }
    }

    private static func short(_ result: Value) -> Value {
        JSON.encode(result).count <= JournalFile.largestResult ? result : [:]
    }

    private static func conflict(_ key: String) -> Problem {
        Problem(.conflict, "The key \(Shown.text(key)) was used for another command. A key belongs to one command.")
    }

    /// FNV-1a: it tells a mistake of the controller, not an attack.
    static func digest(_ procedure: String, _ arguments: Value) -> String {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in CBOR.encode([.string(procedure), arguments]) { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return String(hash, radix: 16)
    }

    /// A process by number and start, since numbers are used again.
    private static func identity(of pid: pid_t) -> String? {
        guard let text = SmallFile.text("/proc/\(pid)/stat"), let name = text.lastIndex(of: ")") else { return nil }
        let fields = text[text.index(after: name)...].split(separator: " ")
        // One that is dead and not yet collected does nothing more.
        guard fields.count > 19, fields[0] != "Z", fields[0] != "X" else { return nil }
        return "\(pid)-\(fields[19])"
    }

    private static func isAlive(_ process: String) -> Bool {
        guard let pid = process.split(separator: "-").first.flatMap({ pid_t($0) }) else { return false }
        return identity(of: pid) == process
    }
}
