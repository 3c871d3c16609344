// A small controller that the crash test kills: it submits jobs and has a fake agent execute them.

import Glibc
import Jobs
import Logging
import Notation
import Seedbox
import Store

/// `JobsCrashProbe submit DIRECTORY SEED FIRST` submits until it is killed; `JobsCrashProbe drain DIRECTORY SEED 0`
/// ends when no job is unfinished. It prints what it was promised, one line at a time.
@main struct JobsCrashProbe {
    static func main() async throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 5, let seed = UInt64(arguments[3]), let first = Int(arguments[4]) else {
            fatalError("JobsCrashProbe is started by JobsTests only.")
        }
        let directory = arguments[2]
        let ledger = try await Ledger.open(LedgerConfiguration(path: "\(directory)/farseed.db"))
        var configuration = OutboxConfiguration()
        configuration.timing.firstPause = 1
        configuration.timing.longestPause = 8
        configuration.retryPause = .milliseconds(5)
        let outbox = Outbox(
            queue: StoreQueue(ledger),
            executor: FakeAgent(journal: "\(directory)/effects", seed: seed),
            configuration: configuration,
            logger: Logger(label: "probe") { _ in SwiftLogNoOpLogHandler() }
        )
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await outbox.run() }
            if arguments[1] == "submit" { try await submit(to: outbox, first: first, seed: seed) }
            try await drain(outbox)
            group.cancelAll()
        }
        say("idle")
    }

    private static func submit(to outbox: Outbox, first: Int, seed: UInt64) async throws {
        var dice = Dice(seed: seed &+ 1)
        for number in first..<first + 5_000 {
            // Every seventh acts on no torrent.
            let lane = number.isMultiple(of: 7) ? nil : InfoHash(String(repeating: "\(number % 5)", count: 40))
            let request = JobRequest(
                box: "vps",
                verb: "torrent.start",
                arguments: ["number": .int(Int64(number))],
                targets: lane.map { [$0] } ?? [],
                who: "owner",
                origin: "test",
                key: JobRequest.makeKey()
            )
            let job = try await outbox.submit(request)
            say("accepted \(number)")
            switch dice.roll(12) {
            case 0:
                // A client that did not hear the answer asks again.
                guard try await outbox.submit(request).id == job.id else { fatalError("A key was accepted twice.") }
            case 1:
                if let cancelled = try? await outbox.cancel(job.id, by: "owner"), cancelled.state.isEnd {
                    say("cancelled \(number)")
                }
            default: break
            }
        }
    }

    private static func drain(_ outbox: Outbox) async throws {
        let changes = outbox.changes()
        func isIdle() async throws -> Bool {
            try await outbox.counts().allSatisfy { $0.key.isEnd }
        }
        if try await isIdle() { return }
        for await _ in changes where try await isIdle() { return }
    }

    /// A line in one write, so that the reader of the pipe has it whatever happens next.
    private static func say(_ line: String) {
        let bytes = Array("\(line)\n".utf8)
        _ = write(STDOUT_FILENO, bytes, bytes.count)
    }
}
