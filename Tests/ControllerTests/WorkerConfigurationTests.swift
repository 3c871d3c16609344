/// The `[worker.NAME]` sections: what they mean, what is refused, and what a secret's file must hold.
import Foundation
import Seedbox
import Testing
import Web

@testable import Controller

private func read(_ text: String, mode: UInt32 = 0o600) throws(ConfigurationFaults) -> Configuration {
    try ConfigurationReader.read(
        text,
        path: "/etc/farseed/farseed.toml",
        stateDirectory: "/var/lib/farseed",
        surroundings: .init(environment: [:], home: "/home/me", look: { _ in .file(mode: mode) })
    )
}

private let key = String(repeating: "0aB9", count: 16)

@Suite struct WorkerConfigurationTests {
    @Test func `workers of both kinds are read`() throws {
        let configuration = try read(
            """
            [worker.reporter]
            role = "viewer"
            secret-file = "reporter.secret"
            procedures = ["farseed.worker.", "com.example."]
            topics = "farseed.worker."
            [worker.bot]
            public-key = "\(key)"
            """
        )
        #expect(
            configuration.workers == [
                Configuration.Worker(name: "bot", proof: .publicKey(key.lowercased())),
                Configuration.Worker(
                    name: "reporter",
                    role: "viewer",
                    proof: .secretFile("/etc/farseed/reporter.secret"),
                    procedures: ["farseed.worker.", "com.example."],
                    topics: ["farseed.worker."]
                ),
            ]
        )
    }

    @Test(arguments: [
        (#"role = "king""#, "no role"),
        (#"procedures = ["farseed.vps."]"#, "the controller's own"),
        (#"procedures = ["farseed."]"#, "the controller's own"),
        (#"topics = ["wamp."]"#, "the router's own"),
        (#"topics = ["com.example"]"#, "no prefix"),
        (#"topics = [""]"#, "no prefix"),
        (#"topics = ["."]"#, "no prefix"),
        (#"topics = ["com..example."]"#, "no prefix"),
        (#"topics = ["two words."]"#, "no prefix"),
        (#"secret-file = "s""#, "either this or `secret-file`"),
        (#"colour = "red""#, "unknown key"),
    ])
    func `what makes no sense is refused by a sentence with its line`(line: String, words: String) throws {
        let error = #expect(throws: ConfigurationFaults.self) {
            try read("[worker.bot]\npublic-key = \"\(key)\"\n\(line)\n")
        }
        let faults = try #require(error?.faults)
        #expect(faults.count == 1 && faults[0].message.contains(words), "\(faults)")
        #expect(faults[0].line != nil)
    }

    @Test(arguments: [
        ("[worker.bot]\n", "needs `secret-file`"),
        ("[worker.bot]\npublic-key = \"abcd\"\n", "64 hex digits"),
        ("[worker.owner]\npublic-key = \"\(key)\"\n", "not allowed"),
        ("[worker.Bot]\npublic-key = \"\(key)\"\n", "not allowed"),
    ])
    func `a worker has a name of its own and one proof`(text: String, words: String) throws {
        let error = #expect(throws: ConfigurationFaults.self) { try read(text) }
        #expect(error?.faults.count == 1 && error?.faults.first?.message.contains(words) == true, "\(error as Any)")
    }

    @Test func `a secret that others may read is refused`() throws {
        let error = #expect(throws: ConfigurationFaults.self) {
            try read("[worker.bot]\nsecret-file = \"s\"\n", mode: 0o640)
        }
        #expect(error?.faults.first?.message.contains("chmod 600") == true && error?.code == .secretUnreadable)
    }

    @Test func `secrets are read without the line's end, and must be long enough`() throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "farseed-workers-\(UUID())")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        func worker(_ content: String?) throws -> Web.Worker {
            let file = directory.appending(path: "secret")
            try? FileManager.default.removeItem(at: file)
            if let content { try Data(content.utf8).write(to: file) }
            let worker = Configuration.Worker(name: "bot", role: "operator", proof: .secretFile(file.path))
            return try WorkerCredentials.read([worker])[0]
        }
        let good = try worker("0123456789abcdef\n")
        #expect(good.proof == .secret(Array("0123456789abcdef".utf8)) && good.role == .operator && good.name == "bot")
        for content in ["short\n", "", String(repeating: "x", count: 2_000)] {
            let problem = #expect(throws: Problem.self) { try worker(content) }
            #expect(problem?.code == .configurationInvalid)
        }
        #expect(#expect(throws: Problem.self) { try worker(nil) }?.code == .secretUnreadable)
    }

    @Test func `a public key becomes its 32 bytes`() throws {
        let worker = Configuration.Worker(name: "bot", proof: .publicKey(key.lowercased()))
        let bytes: [UInt8] = (0..<32).map { $0 % 2 == 0 ? 0x0A : 0xB9 }
        #expect(try WorkerCredentials.read([worker])[0].proof == .publicKey(bytes))
    }
}
