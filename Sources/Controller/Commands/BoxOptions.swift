/// The options that every command has: which configuration, which seedbox, how much to say.
import ArgumentParser
import Foundation
import Logging

struct BoxOptions: ParsableArguments {
    @Option(name: .long, help: "The configuration file.", completion: .file(extensions: ["toml"]))
    var config: String?

    @Option(name: [.short, .long], help: "The seedbox, where several are configured; $FARSEED_BOX otherwise.")
    var box: String?

    @Flag(name: [.short, .long], help: "Say on standard error what is done.")
    var verbose = false

    var choice: BoxChoice { BoxChoice(config: config, box: box, verbose: verbose) }
}

/// What the options and the environment say together.
struct BoxChoice: Sendable, Equatable {
    let config: String?
    let box: String?
    let verbose: Bool

    init(config: String?, box: String?, verbose: Bool) {
        self.config = config
        self.box = box ?? getenv("FARSEED_BOX").map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
        self.verbose = verbose
    }

    func load(acceptMissingFiles: Bool = false, toServe: Bool = false) throws -> Configuration {
        try ConfigurationFile.load(option: config, acceptMissingFiles: acceptMissingFiles, toServe: toServe)
    }

    var logger: Logger {
        var logger = Logger(label: "farseed") { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = verbose ? .debug : .error
        return logger
    }
}
