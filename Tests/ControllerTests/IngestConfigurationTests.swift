/// The `[ingest]` section: what it means and what is refused.
import Testing

@testable import Controller

private func read(_ text: String) throws(ConfigurationFaults) -> Configuration {
    try ConfigurationReader.read(
        text,
        path: "/etc/farseed/farseed.toml",
        stateDirectory: "/var/lib/farseed",
        surroundings: .init(environment: [:], home: "/home/me", look: { _ in .file(mode: 0o600) })
    )
}

@Suite struct IngestConfigurationTests {
    @Test func `it is off unless it is written down`() throws {
        #expect(try read("").ingest == nil)
        let read = try read("[ingest]\nlisten = \"[::1]:5555\"\ntopics = [\"com.example.\", \"farseed.worker.\"]\n")
        #expect(
            read.ingest
                == Configuration.Ingest(host: "::1", port: 5555, topics: ["com.example.", "farseed.worker."])
        )
    }

    @Test(arguments: [
        ("listen = \"127.0.0.1:1\"", "`topics` is missing"),
        ("topics = [\"a.\"]", "`listen` is missing"),
        ("listen = \"0.0.0.0:5555\"\ntopics = [\"a.\"]", "no loopback address"),
        ("listen = \"127.example:5555\"\ntopics = [\"a.\"]", "no loopback address"),
        ("listen = \"unix:/run/x\"\ntopics = [\"a.\"]", "no loopback address"),
        ("listen = \"127.0.0.1:1\"\ntopics = [\"farseed.vps.\"]", "the controller's own"),
        ("listen = \"127.0.0.1:1\"\ntopics = [\"wamp.\"]", "the router's own"),
        ("listen = \"127.0.0.1:1\"\ntopics = [\"a\"]", "no prefix"),
        ("listen = \"127.0.0.1:1\"\ntopics = [\"a.\"]\nrate = 1", "unknown key"),
    ])
    func `what makes no sense is refused by a sentence`(lines: String, words: String) throws {
        let error = #expect(throws: ConfigurationFaults.self) { try read("[ingest]\n\(lines)\n") }
        let faults = try #require(error?.faults)
        #expect(faults.count == 1 && faults[0].message.contains(words), "\(faults)")
    }
}
