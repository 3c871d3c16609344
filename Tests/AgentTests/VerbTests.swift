import Foundation
import NIOPosix
import Notation
import Seedbox
import TestSupport
import Testing
import Transmission

@testable import Agent

/// Every verb and every option of it, against a daemon that does what it is told and ones that only say so.
@Suite(.timeLimit(.minutes(2))) struct VerbTests {
    private func verbs(_ daemon: ScriptedTransmission) -> Verbs {
        Verbs(
            client: RPCClient(daemon.configuration, group: MultiThreadedEventLoopGroup.singleton),
            patience: .milliseconds(100)
        )
    }

    @Test func `the cases cover every verb that changes something`() {
        let covered = Set(VerbCase.all.map(\.verb))
        #expect(Set(Verb.allCases.filter(\.changes)) == covered)
        // Two of speed limits and so on: as many as `session.set` takes.
        #expect(Set(VerbCase.all.filter { $0.verb == .sessionSet }.flatMap(\.arguments.keys)) == Verbs.settings)
    }

    @Test(arguments: VerbCase.all)
    func `what a daemon does is confirmed`(_ verbCase: VerbCase) async throws {
        let daemon = try await ScriptedTransmission(.honest, status: verbCase.status)
        _ = try await verbs(daemon).perform(verbCase.verb, .map(verbCase.arguments))
        #expect(!daemon.commands.isEmpty)
        try await daemon.stop()
    }

    @Test(arguments: VerbCase.all.filter { $0.arguments["hashes"] != nil || $0.arguments["hash"] != nil })
    func `a command names the torrents that it was given, by hash, and leaves the others alone`(
        _ verbCase: VerbCase
    ) async throws {
        let daemon = try await ScriptedTransmission(.honest, status: verbCase.status)
        let named = verbCase.arguments["hashes"]?.array ?? [verbCase.arguments["hash"] ?? .null]
        let both = [ScriptedTransmission.first, ScriptedTransmission.second]
        let others = both.filter { !named.contains(.string($0.hex)) }
        #expect(others.count == 1)
        let before = others.map(daemon.torrent)
        _ = try await verbs(daemon).perform(verbCase.verb, .map(verbCase.arguments))
        #expect(!daemon.targets.isEmpty)
        #expect(daemon.targets.allSatisfy { $0 == named })
        #expect(others.map(daemon.torrent) == before)
        try await daemon.stop()
    }

    @Test(arguments: VerbCase.all, [ScriptedTransmission.Conduct.idle, .lying])
    func `what a daemon only says that it did is refused`(
        _ verbCase: VerbCase,
        _ conduct: ScriptedTransmission.Conduct
    ) async throws {
        let daemon = try await ScriptedTransmission(conduct, status: verbCase.status)
        let problem = await #expect(throws: Problem.self) {
            try await verbs(daemon).perform(verbCase.verb, .map(verbCase.arguments))
        }
        #expect(problem?.code == .transmissionRefused)
        #expect(problem?.message.hasSuffix(".") == true)
        #expect(!daemon.commands.isEmpty)
        try await daemon.stop()
    }

    @Test(arguments: VerbCase.all.filter { $0.verb == .queue })
    func `a change of the queue by somebody else is not taken for one's own`(_ verbCase: VerbCase) async throws {
        let daemon = try await ScriptedTransmission(.crowded)
        let problem = await #expect(throws: Problem.self) {
            try await verbs(daemon).perform(.queue, .map(verbCase.arguments))
        }
        #expect(problem?.code == .transmissionRefused)
        #expect(daemon.torrent(ScriptedTransmission.added) != nil)
        try await daemon.stop()
    }

    /// What is said of the first torrent that the daemon keeps, given to it with `fields` and in `status`.
    private func confirmed(
        _ verb: Verb,
        _ conduct: ScriptedTransmission.Conduct,
        status: Int64,
        isRecent: Bool = false,
        fields: [String: Value] = [:]
    ) async throws -> Value? {
        let daemon = try await ScriptedTransmission(conduct, status: status, isRecent: isRecent, fields: fields)
        let hash = ScriptedTransmission.first.hex
        let reply = try await verbs(daemon).perform(verb, ["hashes": [.string(hash)]])
        #expect(reply["torrents"]?[hash] != nil)
        #expect(!daemon.commands.isEmpty)
        try await daemon.stop()
        return reply["confirmed"]
    }

    @Test func `a verification that nothing tells of is answered as not confirmed`() async throws {
        #expect(try await confirmed(.verify, .honest, status: 0) == nil)
        // It rests, and what it changed within the minute hides whether it was verified.
        #expect(try await confirmed(.verify, .idle, status: 0, isRecent: true) == false)
        // One that runs would have been started anew.
        await #expect(throws: Problem.self) { try await confirmed(.verify, .idle, status: 6, isRecent: true) }
    }

    @Test func `an announcement that nothing tells of is answered as not confirmed`() async throws {
        #expect(try await confirmed(.reannounce, .honest, status: 6) == nil)
        let now = Int64(Date().timeIntervalSince1970)
        let answered: Value = [
            "id": 0, "announceState": 1, "lastAnnounceSucceeded": true, "lastAnnounceTime": .int(now - 60),
        ]
        #expect(try await confirmed(.reannounce, .idle, status: 6, fields: ["trackerStats": [answered]]) == false)
        #expect(try await confirmed(.reannounce, .idle, status: 6, fields: ["trackerStats": []]) == false)
        #expect(try await confirmed(.reannounce, .idle, status: 0) == false)
    }

    @Test(arguments: VerbCase.all)
    func `the same key twice is carried out once, and the first answer repeated`(_ verbCase: VerbCase) async throws {
        let daemon = try await ScriptedTransmission(.honest, status: verbCase.status)
        let temporary = try TemporaryDirectory()
        var configuration = AgentConfiguration()
        configuration.rpc = daemon.configuration
        let agent = ServedAgent(configuration, state: temporary.state)
        let arguments = Value.map(verbCase.arguments.merging(["key": "k"]) { old, _ in old })
        let first = try await agent.core.perform(verbCase.verb, arguments)
        let done = daemon.commands
        let second = try await agent.core.perform(verbCase.verb, arguments)
        // And an agent that is started later.
        let later = try await ServedAgent(configuration, state: temporary.state).core.perform(verbCase.verb, arguments)
        #expect(daemon.commands == done)
        let repeated = Value.map((first.map ?? [:]).merging(["repeated": true]) { old, _ in old })
        #expect(second == repeated)
        #expect(later == repeated)
        try await daemon.stop()
    }

    /// Lists that Transmission would take for everything, were they sent empty.
    private static let lists = [
        "hashes", "ids", "wanted", "unwanted", "high", "normal", "low", "trackers_add", "trackers_remove",
    ]

    @Test(arguments: Verb.allCases, lists)
    func `an empty list is refused before anything is sent`(_ verb: Verb, _ list: String) async throws {
        let daemon = try await ScriptedTransmission(.honest)
        var whole = VerbCase.all.first { $0.verb == verb }?.arguments ?? [:]
        if verb == .details { whole["hash"] = .string(ScriptedTransmission.first.hex) }
        if verb == .freeSpace { whole["path"] = "/" }
        for condition in [nil, ["status": ["stopped"]]] as [Value?] where condition == nil || whole["hashes"] != nil {
            var arguments = whole
            arguments["only_if"] = condition
            arguments[list] = []
            let problem = await #expect(throws: Problem.self) {
                try await verbs(daemon).perform(verb, .map(arguments))
            }
            #expect(problem?.code == .badRequest)
        }
        #expect(daemon.requests == 0)
        try await daemon.stop()
    }

    @Test func `files of a magnet link cannot be chosen, nor one file in two ways`() async throws {
        let daemon = try await ScriptedTransmission(.honest)
        let wrong: [(Verb, Value)] = [
            (.add, ["magnet": "magnet:?xt=urn:btih:x", "wanted": [0]]),
            (.set, ["hashes": [.string(ScriptedTransmission.first.hex)], "wanted": [0], "unwanted": [0]]),
            (.set, ["hashes": [.string(ScriptedTransmission.first.hex)], "high": [1], "low": [0, 1]]),
        ]
        for (verb, arguments) in wrong {
            let problem = await #expect(throws: Problem.self) { try await verbs(daemon).perform(verb, arguments) }
            #expect(problem?.code == .badRequest)
        }
        #expect(daemon.requests == 0)
        try await daemon.stop()
    }
}
