/// `farseed serve`: the daemon.
import ArgumentParser

struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Keep the links up, and serve the page, the subscriptions and the commands."
    )

    @OptionGroup var options: BoxOptions

    func run() async throws {
        try await serve(try options.choice.load(toServe: true), verbose: options.choice.verbose)
    }
}
