import NIOPosix
import Notation
import Seedbox
import Testing

@testable import Transmission

/// What is refused is refused before anything is sent: nothing listens where these verbs would go.
@Suite struct VerbArgumentsTests {
    private static let hash = Value.string(String(repeating: "a", count: 40))
    private let verbs = Verbs(
        client: RPCClient(RPCConfiguration(url: "http://127.0.0.1:1")!, group: MultiThreadedEventLoopGroup.singleton)
    )

    @Test func `a condition names states that there are`() throws {
        var arguments = try VerbArguments(["only_if": ["status": ["stopped", "seeding"]]])
        #expect(try arguments.condition() == [.stopped, .seeding])
        try arguments.finish()
        var none = try VerbArguments([:])
        #expect(try none.condition() == nil)
        let wrong: [Value] = [
            ["status": []], ["status": ["gone"]], ["status": "stopped"], [:], ["state": ["stopped"]], 1,
        ]
        for value in wrong {
            var arguments = try VerbArguments(["only_if": value])
            #expect(throws: Problem.self) { _ = try arguments.condition() }
        }
    }

    @Test(
        arguments: [
            (.start, [:]), (.start, ["hashes": []]), (.start, ["hashes": ["recently-active"]]),
            (.start, ["hashes": [1]]),
            (.start, ["hashes": "all"]), (.start, ["hashes": [hash], "ids": [1]]), (.start, [1]),
            (.remove, ["hashes": []]), (.remove, ["hashes": [hash], "delete_data": 1]),
            (.move, ["hashes": [hash], "directory": "relative"]),
            (.move, ["hashes": [hash], "directory": "/a/../etc"]),
            (.move, ["hashes": [hash]]),
            (.rename, ["hash": hash, "path": "x", "name": "a/b"]),
            (.rename, ["hash": hash, "path": "../x", "name": "a"]),
            (.rename, ["hash": hash, "path": "/x", "name": "a"]), (.rename, ["hash": hash, "path": "x", "name": ".."]),
            (.rename, ["hash": hash, "path": "x", "name": ""]),
            (.set, ["hashes": [hash]]), (.set, ["hashes": [hash], "wanted": []]),
            (.set, ["hashes": [hash], "low": []]),
            (.set, ["hashes": [hash], "unwanted": [-1]]), (.set, ["hashes": [hash], "labels": ["a", ""]]),
            (.set, ["hashes": [hash], "priority": 2]), (.set, ["hashes": [hash], "down_limit": -1]),
            (.set, ["hashes": [hash], "trackers_add": []]), (.set, ["hashes": [hash], "location": "/etc"]),
            (.queue, ["hashes": [hash], "to": "sideways"]), (.queue, ["hashes": [], "to": "top"]),
            (.add, [:]), (.add, ["magnet": "magnet:?x", "url": "http://x"]), (.add, ["url": "/etc/passwd"]),
            (.add, ["url": "file:///etc/passwd"]), (.add, ["magnet": "/etc/passwd"]),
            (.add, ["metainfo": .bytes([1, 2])]),
            (.add, ["metainfo": "aGVsbG8="]), (.add, ["magnet": "magnet:?x", "wanted": []]),
            (.add, ["magnet": "magnet:?x", "directory": "x"]), (.add, ["magnet": "magnet:? x"]),
            (.sessionSet, [:]), (.sessionSet, ["script_torrent_done_filename": "/x"]),
            (.sessionSet, ["rpc_enabled": false]), (.sessionSet, ["peer_port": 0]),
            (.sessionSet, ["encryption": "none"]),
            (.freeSpace, [:]), (.freeSpace, ["path": "x"]), (.details, ["hash": hash, "details": ["all"]]),
        ] as [(Verb, Value)]
    )
    func `a wrong request is refused before it is sent`(_ verb: Verb, _ arguments: Value) async throws {
        let problem = await #expect(throws: Problem.self) { try await verbs.perform(verb, arguments) }
        #expect(problem?.code == .badRequest)
        #expect(problem?.message.isEmpty == false)
    }

    @Test func `a right request reaches the daemon`() async throws {
        let problem = await #expect(throws: Problem.self) {
            try await verbs.perform(.start, ["hashes": [Self.hash], "key": "k"])
        }
        #expect(problem?.code == .transmissionDown)
    }
}
