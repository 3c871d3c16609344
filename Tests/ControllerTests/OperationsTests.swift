/// `Docs/Operations.md` says what the program does: exit codes, keys and commands.
import ArgumentParser
import Foundation
import Seedbox
import Testing

@testable import Controller

private let document: String = {
    let root = URL(filePath: #filePath).resolvingSymlinksInPath()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    return (try? String(contentsOf: root.appending(path: "Docs/Operations.md"), encoding: .utf8)) ?? ""
}()

@Suite struct OperationsTests {
    @Test func `the table of exit codes is the program's`() {
        let rows = document.split(separator: "\n").compactMap { line -> (Int32, String)? in
            let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            guard cells.count == 3, let code = Int32(cells[0]) else { return nil }
            return (code, cells[1].trimmingCharacters(in: ["`"]))
        }
        let documented = Dictionary(rows.map { ($0.1, $0.0) }) { first, _ in first }
        let real = Dictionary(uniqueKeysWithValues: Problem.Code.allCases.map { ($0.rawValue, $0.exitCode) })
        #expect(documented == real)
        #expect(Set(real.values).count == real.count)
        // 0, wrong usage and what shells and `exec` mean by their numbers are not ours to give.
        #expect(real.values.allSatisfy { $0 > 0 && $0 != 2 && $0 < 64 })
    }

    @Test(arguments: [
        "state-directory", "socket", "group", "listen", "allowed-hosts", "allowed-origins", "certificate",
        "certificate-key", "trusted-proxies", "onion-listen", "metrics-token-file", "wamp-v1", "wamp-sequential",
        "open-topics", "socks", "control", "control-password-file", "binary", "include",
        "probe-after", "suspect-after", "dead-after", "retry-at-most", "connect-within", "standby", "recycle-after",
        "compression",
        "address", "addresses", "port", "user", "key", "host-key", "client-auth",
        "topics",
    ])
    func `every key of the configuration is documented`(key: String) {
        #expect(document.contains("`\(key)`"))
    }

    @Test func `every command is documented`() {
        for group in Farseed.configuration.groupedSubcommands {
            for command in group.subcommands {
                let name = command.configuration.commandName ?? ""
                #expect(document.contains("`\(name)`"), "\(name)")
            }
        }
    }

    @Test func `the document's configuration is in order`() throws {
        let example = try #require(
            document.split(separator: "```toml\n").dropFirst().first?.split(separator: "```").first
        )
        let configuration = try ConfigurationReader.read(
            String(example),
            path: "/etc/farseed/farseed.toml",
            stateDirectory: "/var/lib/farseed",
            surroundings: .init(environment: [:], home: nil) { _ in .file(mode: 0o600) }
        )
        #expect(configuration.boxes.count == 1)
    }
}
