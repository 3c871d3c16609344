/// `farseed doctor`: walks the way to the seedbox hop by hop, with the time each took, and says what to do.
import ArgumentParser
import Calls
import Foundation
import Notation
import Seedbox

struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Walk the way to the seedbox hop by hop, and say what is wrong.",
        discussion: """
            It opens a session of its own; a running daemon is not disturbed. Exits with the code of the first hop that \
            fails.
            """
    )

    @OptionGroup var options: BoxOptions

    @Flag(name: .long, help: "Print JSON.")
    var json = false

    func run() async throws {
        let terminal = json ? Terminal.none : Terminal.of(STDOUT_FILENO)
        var report = DoctorReport()
        do {
            let configuration = try options.load()
            let box = try Backend.ownBox(options, configuration)
            report.box = box.name
            report.passed("configuration", configuration.path.map { visible($0) } ?? "")
            try await walk(configuration, box, &report)
        } catch {
            report.failed(
                Failure.problem(error) ?? Problem(.internalFault, "The examination itself has failed: \(error).")
            )
        }
        if json {
            OutputFile.standard.print(MachineText.json(report.value))
        } else {
            OutputFile.standard.print(report.lines(on: terminal))
        }
        if let problem = report.problem {
            OutputFile.error.print(Failure.line(problem))
            throw ExitCode(problem.code.exitCode)
        }
    }

    private func walk(_ configuration: Configuration, _ box: Configuration.Box, _ report: inout DoctorReport)
        async throws
    {
        let trace = HopTrace()
        let session: OwnSession
        do {
            session = try await sessionOpener().open(box, of: configuration, logger: options.logger) { trace.note($0) }
        } catch {
            report.reached(trace, arrived: false)
            throw error
        }
        report.reached(trace, arrived: true)
        do {
            try await examine(session.connection, box, &report)
            await session.end()
        } catch {
            await session.end()
            throw error
        }
    }

    private static let patience = Duration.seconds(60)

    /// The agent, what it may do, Transmission and the disk.
    private func examine(_ agent: CallConnection, _ box: Configuration.Box, _ report: inout DoctorReport) async throws {
        let overdue = Problem(.timedOut, "The agent greeted, but does not answer. Look at its log on the seedbox.")
        let roundTrip = try await within(Self.patience, orThrow: overdue) { try await agent.ping() }
        report.passed("round trip", "", took: roundTrip)
        let status = try await within(Self.patience, orThrow: overdue) { try await agent.call("status") }
        let role = status["role"]?.string ?? "?"
        report.passed(
            "version",
            "\(visible(status["software"]?.string ?? "?", atMost: 80)), role \(visible(role, atMost: 20))"
        )
        let state = status["transmission"]?["state"]?.string.flatMap(DaemonStatus.State.init) ?? .down
        try Backend.check(DaemonStatus(state, status["transmission"]?["message"]?.string ?? ""))
        let version = visible(status["transmission"]?["version"]?.string ?? "?", atMost: 80)
        report.passed("transmission", state == .busy ? "\(version), busy with its disk" : version)
        let directory = try await agent.call("session.get")["download_dir"]?.string ?? "/"
        let free = try await agent.call("session.free_space", ["path": .string(directory)])["free"]?.int ?? 0
        report.passed("disk", "\(Amounts.bytes(free)) free in \(visible(directory, atMost: 200))")
    }
}
