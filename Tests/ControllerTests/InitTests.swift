/// `farseed init`.
import Foundation
import Notation
import Seedbox
import Testing

@testable import Controller

private let onion = "2gzyxa5ihm7nsggfxnu52rck2vv4rvmdlkiu3zzui5du4xyclen53wid.onion"

@Suite struct InitTests {
    @Test func `init writes a configuration that is in order, and a key that OpenSSH reads`() async throws {
        try await withDirectory { directory in
            let config = directory.appending(path: "new/farseed.toml").path
            let arguments = [
                "init", "--config", config, "--name", "vps", "--address", onion, "--user", "seedbox", "--host-key",
                "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g",
            ]
            let run = try await CommandRun.farseed(arguments, in: directory)
            #expect(run.status == 0, "\(run.errors)")
            let check = try await CommandRun.farseed(["config", "check", "--config", config], in: directory)
            #expect(check.status == 0, "\(check.errors)")
            // Each key has its comment above it, and what is left out stands there as one.
            let lines = try String(contentsOfFile: config, encoding: .utf8).split(separator: "\n")
            for key in ["listen", "# socks", "address", "key", "host-key", "# client-auth"] {
                let place = try #require(lines.firstIndex { $0.hasPrefix(key + " = ") }, "\(key)")
                #expect(place > 0 && lines[place - 1].hasPrefix("# "), "\(key)")
            }

            let key = directory.appending(path: "new/farseed_vps").path
            let publicLine = try String(contentsOfFile: key + ".pub", encoding: .utf8)
            #expect(run.text.contains("farseed deploy-agent --key ~/.ssh/id_ed25519 seedbox@vps"))
            let mode = try FileManager.default.attributesOfItem(atPath: key)[.posixPermissions] as? Int
            #expect(mode == 0o600)
            #expect(try await Self.keygen(["-y", "-f", key]) == publicLine)

            // A second time nothing is replaced, and with --force the key stays.
            let again = try await CommandRun.farseed(arguments, in: directory)
            #expect(again.status == Problem.Code.conflict.exitCode)
            let forced = try await CommandRun.farseed(arguments + ["--force"], in: directory)
            #expect(forced.status == 0, "\(forced.errors)")
            #expect(try String(contentsOfFile: key + ".pub", encoding: .utf8) == publicLine)
        }
    }

    @Test(
        arguments: [
            (["--address", "\(onion.dropFirst())"], "there must be 56"), ([], "--address is missing"),
            (["--address", onion, "--name", "VPS"], "--name"),
            (["--address", onion, "--host-key", "x"], "no host key"),
        ] as [([String], String)]
    )
    func `what is wrong is told before anything is written`(arguments: [String], words: String) async throws {
        try await withDirectory { directory in
            let config = directory.appending(path: "farseed.toml").path
            let run = try await CommandRun.farseed(["init", "--config", config] + arguments, in: directory)
            #expect(run.status == 64)
            #expect(run.errors.contains(words), "\(run.errors)")
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path).isEmpty)
        }
    }

    @Test func `on a terminal init asks for what is not given, again where the answer is none`() async throws {
        try await withDirectory { directory in
            let config = directory.appending(path: "farseed.toml").path
            let run = try TerminalRun(["init", "--config", config, "--socks", "127.0.0.1:9050"], in: directory)
            #expect(try await run.shows("Name of the seedbox [vps]:"))
            try run.type("My Box\n")
            #expect(try await run.shows("Use 1 to 32 lower-case letters"))
            try run.type("attic\n")
            #expect(try await run.shows("Its onion address:"))
            try run.type("\(onion.dropFirst())\n")
            #expect(try await run.shows("there must be 56"))
            try run.type("\(onion)\n")
            #expect(try await run.shows("The login name there [seedbox]:"))
            #expect(!FileManager.default.fileExists(atPath: config))
            // What is offered is taken.
            try run.type("\n")
            #expect(try await run.status() == 0)
            let text = try String(contentsOfFile: config, encoding: .utf8)
            #expect(text.contains("[box.attic]") && text.contains(onion) && text.contains("user = \"seedbox\""))
            #expect(FileManager.default.fileExists(atPath: directory.appending(path: "farseed_attic").path))
        }
    }

    @Test func `a whole hash is removed without a question, and so without a look, while the seedbox is out of reach`()
        async throws
    {
        try await withDirectory { directory in
            let config = directory.appending(path: "farseed.toml").path
            let arguments = [
                "init", "--config", config, "--name", "vps", "--address", onion, "--user", "seedbox", "--host-key",
                "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g", "--socks",
                "127.0.0.1:1",
            ]
            #expect(try await CommandRun.farseed(arguments, in: directory).status == 0)
            let hash = String(repeating: "a", count: 40)
            let kept = try TerminalRun(["remove", hash, "--config", config], in: directory)
            #expect(try await kept.status() == 0)
            #expect(try await kept.shows("accepted as job 1"))
            // Here a question would have to show the names.
            let asked = try TerminalRun(["remove", hash, "--delete-data", "--config", config], in: directory)
            #expect(try await asked.status() == Problem.Code.socksUnreachable.exitCode)
        }
    }

    @Test func `who ends the questions of init finds nothing written`() async throws {
        try await withDirectory { directory in
            let config = directory.appending(path: "farseed.toml").path
            let run = try TerminalRun(["init", "--config", config], in: directory)
            #expect(try await run.shows("Name of the seedbox [vps]:"))
            try run.type("\u{4}")
            #expect(try await run.status() == Problem.Code.cancelled.exitCode)
            #expect(try await run.shows("Nothing was written."))
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path).isEmpty)
        }
    }

    @Test func `a configuration without host key says how to get it`() throws {
        let draft = ConfigurationDraft(
            name: "vps",
            address: onion,
            port: 22,
            user: "a\"b",
            hostKey: nil,
            clientAuth: "x.auth_private",
            socks: "unix:/run/tor/socks",
            listen: "127.0.0.1:0",
            key: "/k"
        )
        #expect(throws: ConfigurationFaults.self) { try draft.check(path: "/x") }
        var good = draft
        good.user = "seedbox"
        try good.check(path: "/x")
        let steps = good.steps(path: "/x", publicKey: "ssh-ed25519 AAAA farseed-vps")
        #expect(steps.contains { $0.contains("`host-key`") })
        #expect(steps.contains { $0.contains("echo ssh-ed25519 AAAA farseed-vps | ~/bin/farseed-agent authorize") })
    }

    @Test func `damaged keys are no keys`() {
        let text = KeyFile.privateKey(
            seed: Array(0..<32),
            publicKey: Array(32..<64),
            check: 7,
            comment: "c"
        )
        #expect(KeyFile.publicKey(in: text) == Array(32..<64))
        for end in stride(from: 0, to: text.count, by: 3) {
            let key = KeyFile.publicKey(in: String(text.prefix(end)))
            #expect(key == nil || key == Array(32..<64))
        }
    }

    private static func keygen(_ arguments: [String]) async throws -> String {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/ssh-keygen")
        process.arguments = arguments
        let output = Pipe()
        process.standardOutput = output
        do {
            try process.run()
        } catch {
            Issue.record("ssh-keygen is missing: apt-get install openssh-client")
            return ""
        }
        let data = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return String(decoding: data, as: UTF8.self)
    }
}
