/// Finds `farseed.toml` and the state directory, and reads them from the disk.
import Foundation
import Seedbox
import Store

/// What is known of a file from outside.
enum FileLook: Sendable, Equatable {
    case file(mode: UInt32)
    /// With the system's reason.
    case missing(String)
}

/// Where configuration and state are, by the rules of `Docs/Operations.md`.
enum ConfigurationFile {
    /// A configuration is a page or two of text; more is a mistake.
    private static let largest = 1 << 20

    /// The first of `--config`, `$FARSEED_CONFIG`, the user's and the system's file; nil where there is none.
    ///
    /// The first two count even where the file is missing, so that a slip is noticed.
    static func path(option: String?, environment: [String: String], exists: (String) -> Bool) -> String? {
        if let option { return option }
        if let path = environment["FARSEED_CONFIG"], !path.isEmpty { return path }
        return candidates(environment).first(where: exists)
    }

    private static func candidates(_ environment: [String: String]) -> [String] {
        var candidates: [String] = []
        if let directory = environment["XDG_CONFIG_HOME"], directory.hasPrefix("/") {
            candidates.append(directory + "/farseed/farseed.toml")
        } else if let home = environment["HOME"], home.hasPrefix("/") {
            candidates.append(home + "/.config/farseed/farseed.toml")
        }
        candidates.append("/etc/farseed/farseed.toml")
        return candidates
    }

    /// The state directory where the file does not set it.
    ///
    /// `$STATE_DIRECTORY` is systemd's. A configuration under `/etc` belongs to the system's daemon, whose state every
    /// user's commands must find, whatever their home.
    static func stateDirectory(configuration: String?, environment: [String: String]) -> String {
        if let directory = environment["STATE_DIRECTORY"], directory.hasPrefix("/"), !directory.contains(":") {
            return directory
        }
        if let configuration, configuration.hasPrefix("/etc/") { return "/var/lib/farseed" }
        if let directory = environment["XDG_STATE_HOME"], directory.hasPrefix("/") { return directory + "/farseed" }
        if let home = environment["HOME"], home.hasPrefix("/") { return home + "/.local/state/farseed" }
        return "/var/lib/farseed"
    }

    /// The configuration that the option, the environment and the disk give; the defaults where there is no file.
    ///
    /// For one that is `toServe`, whether this machine lets the daemon do what it says is looked at too. Throws
    /// `ConfigurationFaults` or, where the file cannot be read, a `Problem`.
    static func load(
        option: String?,
        environment: [String: String] = ProcessInfo.processInfo.environment,
        acceptMissingFiles: Bool = false,
        toServe: Bool = false
    ) throws -> Configuration {
        let found = path(option: option, environment: environment) { access($0, F_OK) == 0 }
        let path = found.map { $0.hasPrefix("/") ? $0 : FileManager.default.currentDirectoryPath + "/" + $0 }
        return try ConfigurationReader.read(
            try path.map(read) ?? "",
            path: path,
            stateDirectory: stateDirectory(configuration: path, environment: environment),
            surroundings: .init(
                environment: environment,
                home: environment["HOME"],
                look: look,
                readiness: toServe ? .ofThisMachine : nil
            ),
            acceptMissingFiles: acceptMissingFiles
        )
    }

    private static func read(_ path: String) throws(Problem) -> String {
        guard let file = fopen(path, "re") else {
            throw Problem(
                .configurationInvalid,
                "The configuration \(visible(path)) cannot be read: \(systemReason(errno)). "
                    + "Name another with --config, or let `farseed init` write one."
            )
        }
        defer { fclose(file) }
        let bytes = [UInt8](unsafeUninitializedCapacity: largest + 1) { buffer, count in
            count = fread(buffer.baseAddress, 1, buffer.count, file)
        }
        guard ferror(file) == 0 else {
            throw Problem(
                .configurationInvalid,
                "The configuration \(visible(path)) cannot be read: \(systemReason(errno)). Name a file with --config."
            )
        }
        guard bytes.count <= largest else {
            throw Problem(.configurationInvalid, "The configuration \(visible(path)) is larger than 1 MiB. Shorten it.")
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw Problem(.configurationInvalid, "The configuration \(visible(path)) is not UTF-8. Save it as UTF-8.")
        }
        return text
    }

    @Sendable static func look(_ path: String) -> FileLook {
        guard access(path, R_OK) == 0 else { return .missing(systemReason(errno)) }
        guard let mode = FileMode(path), mode.isRegular else { return .missing("it is no ordinary file") }
        return .file(mode: mode.permissions)
    }
}

/// The system's words for an error number, in lower case for the middle of a sentence.
func systemReason(_ number: Int32) -> String {
    let reason = String(cString: strerror(number))
    return reason.prefix(1).lowercased() + reason.dropFirst()
}
