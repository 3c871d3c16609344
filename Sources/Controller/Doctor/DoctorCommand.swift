/// `farseed doctor`: walks the way to the seedbox hop by hop, with the time each took, and says what to do.
import ArgumentParser
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

    @OptionGroup var output: FormatOptions<HopRecord>

    func run() async throws {
        let terminal = output.isForProgram ? Terminal.none : Terminal.of(STDOUT_FILENO)
        var report = DoctorReport()
        let progress = ProgressLine(hidden: output.isForProgram)
        let began = ContinuousClock.now
        do {
            let configuration = try options.choice.load()
            let box = try Backend.ownBox(options.choice.box, configuration)
            report.box = box.name
            report.passed(
                .configuration,
                configuration.path.map { visible($0) } ?? "",
                took: ContinuousClock.now - began
            )
            let tor = try await CommandTor.begin(configuration, logger: options.choice.logger)
            do {
                try await Examination.walk(&report, by: tor, to: box, of: configuration) { progress.note($0) }
                await tor.end()
            } catch {
                await tor.end()
                throw error
            }
        } catch  where report.problem == nil {
            report.failed(
                Failure.problem(error) ?? Problem(.internalFault, "The examination itself has failed: \(error).")
            )
        } catch {
            // The report has it.
        }
        progress.clear()
        if try !output.print(report.value, records: report.value["hops"]?.array ?? []) {
            OutputFile.standard.print(report.lines(on: terminal))
        }
        if let problem = report.problem {
            OutputFile.error.print(Failure.line(problem))
            throw ExitCode(problem.code.exitCode)
        }
    }
}
