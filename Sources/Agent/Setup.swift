/// What the configuration and its files amount to, or the end of the process with every fault named.

import Glibc
import Logging
import NIOCore
import NIOPosix
import Transmission

struct Setup {
    let configuration: AgentConfiguration
    let account: Account?
    let group: any EventLoopGroup
    let logger: Logger
    let directory: StateDirectory?
    /// Of this program with this configuration.
    let identity: String

    /// As the command line tells wrong use of a configuration.
    private static let faultStatus: Int32 = 21

    /// `path` is the file of `--config`; without, the usual places are looked at.
    init(_ path: String?) {
        let file = path ?? Self.usualPlaces.first { access($0, F_OK) == 0 }
        configuration = Self.read(file)
        do {
            account = try configuration.rpcAuthFile.map { file throws(Account.Refusal) in try Account(file: file) }
        } catch {
            leave("farseed-agent: \(error.message)", Self.faultStatus)
        }
        let level = Logger.Level(rawValue: configuration.logLevel) ?? .info
        LoggingSystem.bootstrap(StreamLogHandler.standardError)
        var logger = Logger(label: "farseed-agent")
        logger.logLevel = level
        self.logger = logger
        group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        directory = StateDirectory.open(configuration, logger: logger)
        identity = ResidentIdentity.of(files: [file, configuration.rpcAuthFile])
    }

    func core() -> AgentCore {
        AgentCore(configuration, account: account, state: directory, group: group, logger: logger)
    }

    private static func read(_ path: String?) -> AgentConfiguration {
        guard let path else { return AgentConfiguration() }
        let text: String
        do {
            text = String(decoding: try SmallFile.read(path, limit: AgentConfiguration.largestFile), as: UTF8.self)
        } catch {
            leave("farseed-agent: \(error.message)", faultStatus)
        }
        do {
            return try AgentConfiguration(parsing: text)
        } catch {
            let lines = error.faults.map { "farseed-agent: \(path), \($0)" }
            leave(lines.joined(separator: "\n"), faultStatus)
        }
    }

    private static var usualPlaces: [String] {
        var places: [String] = []
        if let home = getenv("HOME").map({ String(cString: $0) }), home.hasPrefix("/") {
            places.append(home + "/.config/farseed/agent.conf")
        }
        return places + ["/etc/farseed/agent.conf"]
    }
}
