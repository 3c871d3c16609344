/// Workers: who gets which challenge, what they may do, and a whole WAMP-CRA login over a real websocket.
import Foundation
import Logging
import NIOCore
import NIOPosix
import Notation
import Testing
import WAMP

@testable import Web

private let secret = Array("a secret of some length".utf8)
private let reporter = Worker(
    name: "reporter",
    role: .viewer,
    proof: .secret(secret),
    procedures: ["farseed.worker."],
    topics: ["com.example.reports."]
)
private let signer = Worker(name: "signer", role: .guest, proof: .publicKey(Array(repeating: 7, count: 32)))

@Suite struct WorkerTests {
    @Test("only methods that some worker has are offered")
    func methods() {
        #expect(Workers([]).methods == [])
        #expect(Workers([reporter, signer]).methods == [.wampcra, .cryptosign])
    }

    @Test("a name that nobody has, or that has the other method, is challenged alike and can never be proved")
    func strangers() throws {
        let workers = Workers([reporter, signer])
        guard case .wampcra(let known, let key, nil) = workers.credential(of: "reporter", by: .wampcra),
            case .wampcra(let stranger, let decoy, nil) = workers.credential(of: "nobody", by: .wampcra),
            case .wampcra(_, let other, nil) = workers.credential(of: "signer", by: .wampcra)
        else {
            Issue.record("WAMP-CRA is played with everybody")
            return
        }
        #expect(key == secret && decoy != secret && decoy.count == 32 && other.count == 32 && decoy != other)
        #expect(known.role == "worker.reporter" && stranger.role == "worker.nobody")
        #expect(known.provider == stranger.provider && known.method == stranger.method)
        guard case .cryptosign(let principal, let publicKey) = workers.credential(of: "signer", by: .cryptosign) else {
            Issue.record("the signer has a key")
            return
        }
        #expect(principal.authid == "signer" && publicKey == Array(repeating: 7, count: 32))
        #expect(workers.credential(of: "reporter", by: .cryptosign) == .unknown(.cryptosign))
        #expect(workers.credential(of: "", by: .cryptosign) == .unknown(.cryptosign))
    }

    @Test("a worker may do what its role may and act on its own URIs, and the roles may use them")
    func permissions() {
        let table = Workers([reporter, signer]).granted(Realm.permissions)
        let own = "worker.reporter"
        #expect(table.allows(.register, URIPattern("farseed.worker.summary"), role: own))
        #expect(!table.allows(.register, URIPattern("farseed.vps.sync"), role: own))
        #expect(!table.allows(.register, URIPattern("farseed.", .prefix), role: own))
        #expect(table.allows(.publish, URIPattern("com.example.reports.daily"), role: own))
        #expect(!table.allows(.publish, URIPattern("farseed.vps.torrents"), role: own))
        #expect(!table.allows(.publish, URIPattern("farseed.worker.summary"), role: own))
        // The role's own.
        #expect(table.allows(.subscribe, URIPattern("farseed.vps.torrents"), role: own))
        #expect(!table.allows(.call, URIPattern("farseed.vps.torrent.remove"), role: own))
        #expect(!table.allows(.subscribe, URIPattern("farseed.vps.torrents"), role: "worker.signer"))
        for role in ["owner", "operator"] {
            #expect(table.allows(.call, URIPattern("farseed.worker.summary"), role: role))
            #expect(table.allows(.subscribe, URIPattern("com.example.reports.daily"), role: role))
            #expect(!table.allows(.publish, URIPattern("com.example.reports.daily"), role: role))
            #expect(!table.allows(.register, URIPattern("farseed.worker.summary"), role: role))
        }
        #expect(table.allows(.subscribe, URIPattern("com.example.reports.daily"), role: "viewer"))
        #expect(!table.allows(.call, URIPattern("farseed.worker.summary"), role: "viewer"))
        #expect(!table.allows(.subscribe, URIPattern("com.example.reports.daily"), role: "guest"))
    }

    @Test("WAMP-CRA lets in who knows the secret, and refuses everybody else by the same words")
    func login() async throws {
        try await LiveServer.with(passwords: NoPasswords(), workers: [reporter]) { live in
            let socket = try await TestSocket.open(live)
            let welcome = try #require(try await Self.greet(socket, "reporter", secret)?.array)
            #expect(
                welcome[0] == 2 && welcome[2]["authid"] == "reporter" && welcome[2]["authrole"] == "worker.reporter"
            )
            try await socket.send([64, 1, [:], "farseed.worker.summary"])
            #expect(try await socket.message()?.array?.first == 65)
            try await socket.send([64, 2, [:], "farseed.vps.sync"])
            #expect(try await socket.message()?.array?[4] == "wamp.error.not_authorized")

            // Many of them: a comparison that is wrong for some bytes only shows after a few.
            var refusals: Set<Value> = []
            for attempt in 0..<30 {
                let stranger = try await TestSocket.open(live)
                let (name, key) = attempt % 2 == 0 ? ("reporter", Array("secret \(attempt)".utf8)) : ("nobody", secret)
                refusals.insert(try #require(try await Self.greet(stranger, name, key)))
                stranger.close()
            }
            let refusal = try #require(refusals.first?.array)
            #expect(refusals.count == 1 && refusal[0] == 3 && refusal[2] == "wamp.error.authentication_denied")
            let events = live.logins.events
            #expect(events.first == .workerEntered(name: "reporter", client: "127.0.0.1"))
            #expect(events.count { $0 == .workerRefused(name: "reporter", client: "127.0.0.1") } == 15)
            #expect(events.count { $0 == .workerRefused(name: nil, client: "127.0.0.1") } == 15)
            socket.close()
        }
    }

    @Test("without workers their methods are not there")
    func none() async throws {
        try await LiveServer.with(passwords: NoPasswords()) { live in
            let socket = try await TestSocket.open(live)
            try await socket.send([
                1, "farseed", ["roles": ["callee": [:]], "authmethods": ["wampcra"], "authid": "reporter"],
            ])
            let abort = try #require(try await socket.message()?.array)
            #expect(abort[0] == 3 && abort[2] == "wamp.error.no_matching_auth_method")
            socket.close()
        }
    }

    @Test("anybody gets the events of open topics and nothing else, and nobody enters where there are none")
    func anonymous() async throws {
        let hello: Value = [1, "farseed", ["roles": ["subscriber": [:], "caller": [:], "publisher": [:]]]]
        try await LiveServer.with(workers: [reporter], openTopics: ["com.example."]) {
            $0.limits.socketsPerUser = 2
        } _: { live in
            let (first, second, third) = (
                try await TestSocket.open(live), try await TestSocket.open(live), try await TestSocket.open(live)
            )
            for socket in [first, second] {
                try await socket.send(hello)
                let welcome = try #require(try await socket.message()?.array)
                #expect(welcome[0] == 2 && welcome[2]["authmethod"] == "anonymous")
                #expect(welcome[2]["authrole"] == "anonymous" && welcome[2]["authid"] == "anonymous")
            }
            try await first.send([32, 1, [:], "com.example.door"])
            #expect(try await first.message()?.array?.first == 33)
            let refused: [(Value, Int64)] = [
                ([32, 2, [:], "farseed.vps.torrents"], 2), ([32, 3, ["match": "prefix"], "com."], 3),
                ([32, 4, ["match": "wildcard"], "..door"], 4), ([48, 5, [:], "farseed.boxes"], 5),
                ([48, 6, [:], "wamp.session.count"], 6), ([16, 7, ["acknowledge": true], "com.example.door"], 7),
            ]
            for (message, number) in refused {
                try await first.send(message)
                let answer = try #require(try await first.message()?.array)
                #expect(answer[0] == 8 && answer[2] == .int(number) && answer[4] == "wamp.error.not_authorized")
            }
            live.realm.publish("com.example.door", ["open": true])
            #expect(try await first.message()?.array?[5] == ["open": true])
            #expect(live.logins.events.isEmpty)
            // All of them together are as many as one user may be.
            try await third.send(hello)
            var last: Value?
            while let message = try await third.message(), message.array?.first != 6 { last = message }
            #expect(last?.array?.first == 2)
            for socket in [first, second, third] { socket.close() }
        }
        try await LiveServer.with(workers: [reporter]) { live in
            let socket = try await TestSocket.open(live)
            try await socket.send(hello)
            let abort = try #require(try await socket.message()?.array)
            #expect(abort[0] == 3 && abort[2] == "wamp.error.no_matching_auth_method")
            socket.close()
        }
    }

    /// HELLO and AUTHENTICATE; the WELCOME or ABORT.
    private static func greet(_ socket: TestSocket, _ name: String, _ key: [UInt8]) async throws -> Value? {
        let details: Value = [
            "roles": ["callee": [:], "publisher": [:]], "authmethods": ["wampcra"], "authid": .string(name),
        ]
        try await socket.send([1, "farseed", details])
        let challenge = try #require(try await socket.message()?.array)
        try #require(challenge[0] == 4 && challenge[1] == "wampcra")
        let text = try #require(challenge[2]["challenge"]?.string)
        #expect(challenge[2]["salt"] == nil)
        let signature = Data(SwiftCrypto().hmacSHA256(key: key, message: Array(text.utf8))).base64EncodedString()
        try await socket.send([5, .string(signature), [:]])
        return try await socket.message()
    }
}
