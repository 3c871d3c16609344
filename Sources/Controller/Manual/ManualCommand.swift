/// `farseed manual`: writes the manual pages; for those who package Farseed.
import ArgumentParser
import Foundation
import Notation
import Seedbox

struct ManualCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "manual",
        abstract: "Write the manual pages into a directory.",
        shouldDisplay: false
    )

    @Argument(help: "The directory, such as /usr/local/share/man/man1.", completion: .directory)
    var directory: String

    func run() async throws {
        let dump = try JSON.decode(Farseed._dumpHelp())
        for (name, page) in ManualPages(software: Farseed.software).pages(dump) {
            do {
                try page.write(toFile: directory + "/" + name, atomically: true, encoding: .utf8)
            } catch {
                throw Problem(
                    .refused,
                    "\(visible(directory))/\(name) cannot be written. Give a directory that is there."
                )
            }
        }
    }
}
