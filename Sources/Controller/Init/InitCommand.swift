/// `farseed init`: a commented configuration, a key, and the one command that installs the agent.
import ArgumentParser
import Foundation
import Seedbox

struct InitCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "init",
        abstract: "Write a configuration and a key, and tell the one command that installs the agent.",
        discussion:
            "What is not given is asked for on a terminal. The host key may come later, before the installation."
    )

    @Option(name: .long, help: "Where to write the configuration.", completion: .file(extensions: ["toml"]))
    var config: String?

    @Option(name: .long, help: "What to call the seedbox: lower-case letters, digits and _.")
    var name: String?

    @Option(name: .long, help: "Its onion address.")
    var address: String?

    @Option(name: .long, help: "Its SSH port.")
    var port = 22

    @Option(name: .long, help: "The login name there.")
    var user: String?

    @Option(name: .long, help: "Its host key, as ssh-ed25519 AAAA…")
    var hostKey: String?

    @Option(name: .long, help: "The file with the key of onion client authorization.", completion: .file())
    var clientAuth: String?

    @Option(name: .long, help: "A running tor's SOCKS address; without it an own tor is run.")
    var socks: String?

    @Option(name: .long, help: "Where the page is served.")
    var listen = "127.0.0.1:8080"

    @Option(name: .long, help: "The key's file; one that is there already is used.", completion: .file())
    var key: String?

    @Flag(name: .long, help: "Replace a configuration that is there.")
    var force = false

    func run() async throws {
        let path = try target()
        let asks = isatty(STDIN_FILENO) == 1
        let name = try value(name, "--name", "Name of the seedbox [vps]:", otherwise: "vps", asks) { name in
            ConfigurationReader.isBoxName(name) ? nil : "Use 1 to 32 lower-case letters, digits and `_`."
        }
        let address = try value(address, "--address", "Its onion address:", asks, AddressText.fault)
        let user = try value(user, "--user", "The login name there [seedbox]:", otherwise: "seedbox", asks) {
            $0.isEmpty ? "The login name is missing." : nil
        }
        if let hostKey, let fault = HostKeyText.fault(in: hostKey) { throw ValidationError("--host-key: \(fault)") }
        let keyPath = key ?? URL(filePath: path).deletingLastPathComponent().appending(path: "farseed_\(name)").path
        let draft = ConfigurationDraft(
            name: name,
            address: address,
            port: port,
            user: user,
            hostKey: hostKey,
            clientAuth: clientAuth,
            socks: socks,
            listen: listen,
            key: keyPath
        )
        // Whatever was given must be a configuration that we read ourselves.
        try draft.check(path: path)
        try Self.makeDirectory(of: path)
        try Self.makeDirectory(of: keyPath)
        let publicKey = try KeyFile.ensure(keyPath, comment: "farseed-\(name)")
        try Self.write(draft.text, to: path, replacing: force)
        OutputFile.standard.print(draft.steps(path: path, publicKey: publicKey))
    }

    private func target() throws -> String {
        let environment = ProcessInfo.processInfo.environment
        let found = ConfigurationFile.path(option: config, environment: environment) { _ in true } ?? ""
        let path = found.hasPrefix("/") ? found : FileManager.default.currentDirectoryPath + "/" + found
        guard force || access(path, F_OK) != 0 else {
            throw Problem(
                .conflict,
                "\(visible(path)) is there already. Edit it, name another with --config, or replace it with --force."
            )
        }
        return path
    }

    /// The option's value, or the answer of the person at the terminal, asked again until it is right.
    private func value(
        _ given: String?,
        _ option: String,
        _ question: String,
        otherwise: String? = nil,
        _ asks: Bool,
        _ fault: (String) -> String?
    ) throws -> String {
        if let given {
            if let fault = fault(given) { throw ValidationError("\(option): \(fault)") }
            return given
        }
        guard asks else {
            if let otherwise { return otherwise }
            throw ValidationError("\(option) is missing, and there is no terminal to ask at.")
        }
        while let answer = Question.text(question) {
            let answer = answer.isEmpty ? otherwise ?? "" : answer
            guard let fault = fault(answer) else { return answer }
            OutputFile.error.print(fault)
        }
        throw Problem(.cancelled, "Nothing was written.")
    }

    private static func makeDirectory(of path: String) throws {
        let directory = URL(filePath: path).deletingLastPathComponent().path
        guard StateDirectory.make(directory) else {
            throw Problem(.configurationInvalid, "The directory \(visible(directory)) cannot be made. Choose another.")
        }
    }

    /// Writes beside it and renames, so that there is never half a file.
    private static func write(_ text: String, to path: String, replacing: Bool) throws {
        let draft = path + ".new"
        try KeyFile.write(Array(text.utf8), to: draft, mode: 0o600)
        let isDone = replacing ? rename(draft, path) == 0 : link(draft, path) == 0
        let reason = errno
        unlink(draft)
        guard isDone else {
            throw Problem(.configurationInvalid, "\(visible(path)) cannot be written: \(systemReason(reason)).")
        }
    }
}
