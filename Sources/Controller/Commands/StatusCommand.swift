/// `farseed status`: the daemon and its links, hop by hop.
import ArgumentParser
import Foundation
import Notation
import Seedbox

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show the daemon and how each link stands, hop by hop.",
        discussion: "Exits with 0 where every link is live, else with the code of what is wrong (24: no daemon runs)."
    )

    @OptionGroup var options: BoxOptions
    @OptionGroup var output: FormatOptions<LinkRecord>

    @Flag(name: .long, help: "One line, for status bars.")
    var oneline = false

    func validate() throws {
        if oneline, output.isForProgram {
            throw ValidationError("--oneline does not go with --json, --yaml or --format.")
        }
    }

    func run() async throws {
        let configuration = try options.choice.load(acceptMissingFiles: true)
        var report = DaemonReport(software: nil, boxes: [])
        if try await ControlSocket.connect(configuration.controlSocket) != nil {
            report = try await Backend.with(options.choice, needsBox: false) { try await $0.status() }
            if let box = options.choice.box { report.boxes.removeAll { $0.name != box } }
        }
        let now = Int64(Date.now.timeIntervalSince1970 * 1000)
        if oneline {
            OutputFile.standard.print(StatusText.oneline(report, now: now))
        } else if try !output.print(report.value, records: report.boxes.map(\.value)) {
            OutputFile.standard.print(StatusText.lines(report, now: now, on: .of(STDOUT_FILENO)))
        }
        let code = Self.exitCode(report, box: options.choice.box)
        if code != 0 { throw ExitCode(code) }
    }

    static func exitCode(_ report: DaemonReport, box: String?) -> Int32 {
        guard report.software != nil else { return Problem.Code.controllerAbsent.exitCode }
        if box != nil, report.boxes.isEmpty { return Problem.Code.notFound.exitCode }
        guard let broken = report.boxes.first(where: { !StatusText.isLive($0.link) }) else { return 0 }
        return broken.link["problem"].flatMap(Problem.init)?.code.exitCode ?? Problem.Code.linkDown.exitCode
    }
}
