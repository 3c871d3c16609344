// The life of a job, happening by happening.

import Notation
import Seedbox
import Testing

@testable import Jobs

@Suite struct JobMachineTests {
    private let lost = Problem(.connectionLost, "gone")
    private let down = Problem(.linkDown, "down")

    @Test func `a job that all goes well with is sent once and done`() {
        var machine = JobMachine(someJob(1), at: 0)
        #expect(machine.readyAt == 0)
        #expect(machine.deadline == 1_000_000)
        machine.began(at: 5)
        #expect(machine.job.state == .sent)
        #expect(machine.job.attempts == 1)
        #expect(machine.readyAt == nil)
        #expect(machine.deadline == nil)
        machine.answered(["ok": true], at: 9)
        #expect(machine.job.state == .done(["ok": true]))
        #expect(machine.job.changedAt == 9)
    }

    @Test func `a job that never left waits, and may still be cancelled or expire`() throws {
        var machine = JobMachine(someJob(1), at: 0)
        machine.began(at: 0)
        machine.failed(down, at: 10)
        #expect(machine.job.state == .waiting(.init(until: 1_010, problem: down)))
        #expect(machine.deadline == 1_000_000)
        var other = machine
        try other.cancelled(by: "ann", at: 20)
        #expect(other.job.state == .cancelled(by: "ann"))
        machine.ticked(at: 999_999)
        #expect(machine.job.state.name == .waiting)
        machine.ticked(at: 1_000_000)
        #expect(machine.job.state == .expired)
    }

    @Test func `a job whose answer was lost is asked for until it is settled, and does not look fresh again`() throws {
        var machine = JobMachine(someJob(1), at: 0)
        machine.began(at: 0)
        machine.failed(lost, at: 10)
        #expect(machine.job.state == .confirming(.init(until: 1_010, problem: lost)))
        #expect(throws: Problem.self) { try machine.cancelled(by: "ann", at: 20) }
        machine.ticked(at: 1_000_001)
        #expect(machine.job.state.name == .confirming)
        machine.began(at: 1_000_010)
        #expect(machine.job.state.name == .confirming)
        #expect(machine.job.attempts == 2)
        machine.failed(down, at: 1_000_020)
        #expect(machine.job.state.name == .confirming)
        machine.began(at: 1_100_000)
        machine.answered(.null, at: 1_100_001)
        #expect(machine.job.state == .done(.null))
    }

    @Test func `what can never be settled ends as failed, saying that nobody knows`() {
        let timing = JobMachine.Timing()
        var machine = JobMachine(someJob(1, state: .sent), timing: timing, at: 0)
        machine.ticked(at: 1_000_000 + timing.settling)
        #expect(machine.job.state.problem?.code == .timedOut)
        #expect(machine.job.state.problem?.message.contains("not known") == true)
        #expect(machine.job.state.name == .failed)
    }

    @Test func `a job that was sent when the controller ended may have been executed`() {
        let machine = JobMachine(someJob(1, state: .sent), at: 7)
        #expect(machine.job.state == .confirming(.init()))
        #expect(machine.readyAt == 0)
    }

    @Test func `pauses double up to a bound`() {
        var machine = JobMachine(someJob(1), at: 0)
        var pauses: [Int64] = []
        for _ in 0..<9 {
            machine.began(at: 0)
            machine.failed(Problem(.transmissionDown, "down"), at: 0)
            pauses.append(machine.readyAt ?? -1)
        }
        #expect(pauses == [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000])
        for _ in 0..<200 {
            machine.began(at: 0)
            machine.failed(down, at: 0)
        }
        #expect(machine.readyAt == 60_000)
    }

    @Test func `an end is final`() {
        let ends: [JobState] = [.done(.null), .failed(lost), .expired, .cancelled(by: "ann")]
        for end in ends {
            var machine = JobMachine(someJob(1, state: end), at: 0)
            machine.answered(["late": true], at: 1)
            machine.failed(lost, at: 1)
            machine.held(at: 1)
            machine.ticked(at: .max)
            #expect(throws: Problem.self) { try machine.cancelled(by: "bob", at: 1) }
            #expect(machine.job.state == end)
            #expect(machine.readyAt == nil)
        }
    }

    @Test(arguments: Problem.Code.allCases)
    func `every problem either ends a job or leads to another attempt`(_ code: Problem.Code) {
        var machine = JobMachine(someJob(1), at: 0)
        machine.began(at: 0)
        machine.failed(Problem(code, "x"), at: 0)
        switch code.jobVerdict {
        case .ends: #expect(machine.job.state.name == .failed)
        case .notSent, .notDone: #expect(machine.job.state.name == .waiting)
        case .lost, .unsettled: #expect(machine.job.state.name == .confirming)
        }
        // Every code of Tor's and SSH's comes before a job is sent, or leaves open whether it was executed.
        if code.exitCode >= 30 && code.exitCode < 55 { #expect(code.jobVerdict.linkIsDown) }
    }
}
