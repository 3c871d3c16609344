/// `farseed boxes`: the seedboxes that are configured.
import ArgumentParser
import Foundation
import Notation

struct BoxesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "boxes", abstract: "List the seedboxes configured.")

    @OptionGroup var options: BoxOptions
    @OptionGroup var output: FormatOptions<BoxRecord>

    func run() async throws {
        let configuration = try options.choice.load(acceptMissingFiles: true)
        // No address: what is printed here ends up in logs and bug reports.
        let boxes = configuration.boxes.map { ["name": .string($0.name), "user": .string($0.user)] as Value }
        if try !output.print(["boxes": .array(boxes)], records: boxes) {
            OutputFile.standard.print(configuration.boxes.map(\.name))
        }
    }
}
