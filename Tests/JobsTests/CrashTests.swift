// kill -9 at any moment: nothing accepted is lost, nothing is done twice.

import Foundation
import Glibc
import Jobs
import Notation
import Seedbox
import Store
import Testing

@Suite(.serialized, .timeLimit(.minutes(10))) struct CrashTests {
    @Test func `killed at a hundred random points it loses none and doubles none`() async throws {
        let scratch = try ScratchState()
        var dice = SeededDice(seed: 20_261_124)
        var accepted: Set<Int> = []
        var cancelled: Set<Int> = []
        for round in 0..<100 {
            let life = Duration.milliseconds(dice.roll(100))
            let probe = try Probe("submit", scratch.directory, seed: UInt64(round), first: round * 10_000)
            // Every third dies somewhere in its start-up and recovery, the others in their work.
            if !round.isMultiple(of: 3) { try #require(probe.hasSpoken(within: 20)) }
            try await Task.sleep(for: life)
            probe.kill()
            for line in probe.lines() {
                let words = line.split(separator: " ")
                let number = try #require(words.last.flatMap { Int($0) })
                if words[0] == "accepted" { accepted.insert(number) }
                if words[0] == "cancelled" { cancelled.insert(number) }
            }
            #expect(probe.signal == SIGKILL)
        }
        let last = try Probe("drain", scratch.directory, seed: 1_000, first: 0)
        let farewell = try await within(.seconds(120)) { last.lines() }
        #expect(farewell == ["idle"])
        try await verify(scratch, accepted, cancelled)
    }

    @Test func `processes that begin together on a new state directory all find its tables`() async throws {
        for round in 0..<10 {
            let scratch = try ScratchState()
            let probes = try (0..<6).map { _ in try Probe("drain", scratch.directory, seed: 1, first: 0) }
            for probe in probes { #expect(probe.lines() == ["idle"], "round \(round)") }
        }
    }

    private func verify(_ scratch: ScratchState, _ accepted: Set<Int>, _ cancelled: Set<Int>) async throws {
        let journal = try String(contentsOfFile: "\(scratch.directory)/effects", encoding: .utf8)
        let effects = journal.split(separator: "\n").map { $0.split(separator: " ") }
        let numbers = Set(effects.compactMap { Int($0[1]) })
        let isOnce = numbers.count == effects.count
        #expect(isOnce, "Nothing is done twice.")
        var jobs: [Int: Job] = [:]
        let queue = StoreQueue(try await scratch.open())
        for listed in try await queue.jobs(JobFilter(limit: 1_000_000)) {
            let job = try #require(try await queue.job(listed.id))
            let number = Int(try #require(job.arguments["number"]?.int))
            let isNew = jobs.updateValue(job, forKey: number) == nil
            #expect(isNew, "Nothing is accepted twice.")
        }
        let isAllKept = accepted.isSubset(of: jobs.keys)
        #expect(isAllKept, "Nothing that was accepted is lost.")
        for number in cancelled { #expect(jobs[number]?.state.name == .cancelled) }
        for (number, job) in jobs {
            let wasDone = numbers.contains(number)
            switch job.state.name {
            case .done: #expect(wasDone, "What is called done was done.")
            case .cancelled: #expect(!wasDone, "What is called cancelled was not done.")
            default: Issue.record("Job \(number) ended as \(job.state.name).")
            }
        }
        for lane in Set(effects.map { $0[2] }) where lane != "-" {
            let order = effects.filter { $0[2] == lane }.compactMap { Int($0[1]) }
            let isOrdered = order == order.sorted()
            #expect(isOrdered, "The jobs of a torrent were done in their order.")
        }
        // Enough happened for the test to mean something.
        #expect(accepted.count > 100, "\(accepted.count) jobs were accepted")
        #expect(jobs.values.contains { $0.attempts > 1 })
    }
}

/// A process of the helper `JobsCrashProbe`, which stands beside the tests.
private final class Probe: Sendable {
    private let process = Process()
    private let output = Pipe()

    init(_ mode: String, _ directory: String, seed: UInt64, first: Int) throws {
        let tests = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let folder = URL(fileURLWithPath: tests).deletingLastPathComponent()
        process.executableURL = folder.appendingPathComponent("JobsCrashProbe")
        process.arguments = [mode, directory, "\(seed)", "\(first)"]
        process.standardOutput = output
        try process.run()
    }

    deinit {
        kill()
    }

    func kill() {
        if process.isRunning { Glibc.kill(process.processIdentifier, SIGKILL) }
    }

    var signal: Int32? {
        process.waitUntilExit()
        return process.terminationReason == .uncaughtSignal ? process.terminationStatus : nil
    }

    /// Waits for its first word; false where it says none in as many seconds.
    func hasSpoken(within seconds: Int32) -> Bool {
        var descriptor = pollfd(fd: output.fileHandleForReading.fileDescriptor, events: Int16(POLLIN), revents: 0)
        return poll(&descriptor, 1, seconds * 1000) == 1
    }

    /// All that it said until its end; a last line that was cut is no promise.
    func lines() -> [String] {
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        return text.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
    }
}
