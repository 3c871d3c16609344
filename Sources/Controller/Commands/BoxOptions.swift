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

    mutating func validate() throws {
        if box == nil, let name = ProcessInfo.processInfo.environment["FARSEED_BOX"], !name.isEmpty { box = name }
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
