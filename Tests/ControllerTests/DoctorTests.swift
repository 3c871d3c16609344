/// `farseed doctor`: the order of the hops, their times and words, and which hop a failure is put down to.
import Foundation
import Notation
import Seedbox
import Testing

@testable import Controller
@testable import Tunnel

@Suite struct DoctorTests {
    private static let name = String(repeating: "a", count: 56)

    /// An attempt that comes to `stages`, one each second from `start` on.
    private static func trace(
        _ stages: ArraySlice<Dialer.Stage>,
        address: String = name + ".onion",
        attempt: Int = 1,
        from start: Int = 0,
        into trace: WayTrace = WayTrace()
    ) -> WayTrace {
        var trace = trace
        for (index, stage) in stages.enumerated() {
            trace.heard(
                .reached(attempt, stage, address: address, isolation: "i\(attempt)"),
                at: .seconds(start + index)
            )
        }
        return trace
    }

    private static func words(_ steps: [DoctorReport.Step]) -> [String] {
        steps.map { "\($0.hop.rawValue) \($0.state.rawValue)" + ($0.took.map { " \($0.components.seconds)" } ?? "") }
    }

    private static let all = Dialer.Stage.allCases[...]

    @Test func `a session's way is told hop by hop with the time of each`() {
        var trace = Self.trace(Self.all)
        trace.heard(of: [Self.name: .requested], at: .milliseconds(500))
        trace.heard(of: [Self.name: .received], at: .seconds(1))
        trace.heard(of: [Self.name: .received], at: .seconds(3))
        trace.greeted(at: .seconds(9))
        let (steps, failed) = trace.told(isAsked: true)
        #expect(failed == nil)
        #expect(
            Self.words(steps) == [
                "descriptor up 1", "tcp up 1", "host-key up 1", "login up 1", "forced-command up 5",
            ]
        )
    }

    @Test(arguments: [
        (true, name + ".onion", "tor had it already"),
        (false, name + ".onion", "found; not timed apart from TCP without a control port"),
        (true, "vps.example", "none is needed: the address is no onion service's"),
    ])
    func `what is not told of the descriptor is said, too`(isAsked: Bool, address: String, detail: String) {
        var trace = Self.trace(Self.all, address: address)
        trace.greeted(at: .seconds(9))
        let steps = trace.told(isAsked: isAsked).steps
        #expect(steps.first == .init(.descriptor, .up, detail))
        #expect(Self.words(steps)[1] == "tcp up 2")
    }

    private static func failure(_ code: Problem.Code, _ stage: Dialer.Stage) -> DialFailure {
        DialFailure(Problem(code, "It failed."), .backOff, at: stage)
    }

    @Test(
        arguments: [
            (.socksUnreachable, .socks, 1, [], .socks), (.onionNotFound, .circuit, 2, [], .descriptor),
            (.onionAuthorizationWrong, .circuit, 2, [], .descriptor),
            (.onionUnreachable, .circuit, 2, ["descriptor up"], .tcp),
            (.torPolicy, .circuit, 2, ["descriptor up"], .tcp),
            // The far end of the circuit refuses: no stream was opened.
            (.connectionRefused, .handshake, 2, ["descriptor up"], .tcp),
            (.hostKeyMismatch, .handshake, 3, ["descriptor up", "tcp up 2"], .hostKey),
            (.loginRefused, .login, 4, ["descriptor up", "tcp up 2", "host-key up 1"], .login),
            // An end amid the login, which SSH does not put down to any step.
            (.connectionLost, .handshake, 4, ["descriptor up", "tcp up 2", "host-key up 1"], .login),
            (
                .agentMissing, .greeting, 5, ["descriptor up", "tcp up 2", "host-key up 1", "login up 1"],
                .forcedCommand
            ),
            (
                .agentIncompatible, .greeting, 5,
                ["descriptor up", "tcp up 2", "host-key up 1", "login up 1", "forced-command up"], .agent
            ),
        ] as [(Problem.Code, Dialer.Stage, Int, [String], Hop)]
    )
    func `a failure is put down to the hop that it ended at`(
        code: Problem.Code,
        stage: Dialer.Stage,
        reached: Int,
        passed: [String],
        hop: Hop
    ) {
        var trace = Self.trace(Self.all.prefix(reached))
        trace.heard(.failed(1, Self.failure(code, stage)), at: .seconds(60))
        let (steps, failed) = trace.told(isAsked: true)
        #expect(Self.words(steps) == passed && failed == hop)
        var report = DoctorReport()
        for hop in Hop.allCases where hop < .descriptor { report.passed(hop, "") }
        report.began(.descriptor)
        report.walked(trace, isAsked: true)
        report.failed(Problem(code, "It failed."))
        #expect(report.steps.last == .init(hop, .down, code.rawValue.replacing("-", with: " ")))
        #expect(report.steps.dropLast().allSatisfy { $0.hop < hop })
    }

    @Test func `a deadline is the descriptor's where tor told that it sought one and not that it came`() {
        var trace = Self.trace(Self.all.prefix(2))
        trace.heard(.failed(1, Self.failure(.timedOut, .circuit)), at: .seconds(90))
        #expect(Self.words(trace.told(isAsked: true).steps) == ["descriptor unknown"])
        #expect(trace.told(isAsked: false).failed == .tcp)
        trace.heard(of: [Self.name: .failed("NOT_FOUND")], at: .seconds(1))
        #expect(trace.told(isAsked: true).failed == .descriptor)
        trace.heard(of: [Self.name: .received], at: .seconds(1))
        #expect(trace.told(isAsked: true).failed == .tcp)
    }

    @Test func `of several attempts the one that arrived is told, with its own times`() {
        var trace = Self.trace(Self.all.prefix(4))
        trace.heard(.failed(1, Self.failure(.connectionLost, .handshake)), at: .seconds(20))
        trace = Self.trace(Self.all, attempt: 2, from: 30, into: trace)
        trace.greeted(at: .seconds(35))
        let (steps, failed) = trace.told(isAsked: true)
        #expect(failed == nil && trace.isolation == "i2")
        #expect(
            Self.words(steps) == ["descriptor up", "tcp up 2", "host-key up 1", "login up 1", "forced-command up 1"]
        )
    }

    @Test func `what nothing told is proved by what lies behind it`() {
        var report = DoctorReport()
        report.passed(.configuration, "")
        report.untold(.tor, "not told")
        report.began(.socks)
        report.failed(Problem(.socksUnreachable, "It does not answer."))
        #expect(report.value["hops"]?.array?.map { $0["state"]?.string } == ["up", "unknown", "down"])
        report = DoctorReport()
        report.untold(.bootstrap, "not told")
        report.passed(.tcp, "", took: .milliseconds(1_234))
        #expect(report.steps.map(\.state) == [.up, .up])
        #expect(report.value["ok"] == true && report.value["hops"]?.array?[1]["ms"] == 1234)
    }

    @Test func `the report names hops for people and for programs, and what should be mended`() {
        var report = DoctorReport()
        report.box = "vps"
        report.passed(.hostKey, "", took: .milliseconds(12))
        report.warnings = [.init(.clockSkew, "The clock is \u{1B}[2J off.")]
        #expect(report.value["hops"]?.array?.first?["hop"] == "host-key")
        #expect(report.value["warnings"]?.array?.first?["code"] == "clock-skew")
        let lines = report.lines(on: .none)
        #expect(lines.count == 2 && lines[0].hasPrefix("✓  host key  12 ms") && lines[1] == "! The clock is ␛[2J off.")
    }

    @Test func `without a configuration the doctor says how to get one`() async throws {
        try await withDirectory { directory in
            let run = try await CommandRun.farseed(["doctor", "--json"], in: directory)
            #expect(run.status == Problem.Code.configurationInvalid.exitCode)
            #expect(run.errors.contains("farseed init"))
            let value = try JSON.decode(run.text.trimmingCharacters(in: .newlines))
            #expect(value["ok"] == false)
        }
    }
}
