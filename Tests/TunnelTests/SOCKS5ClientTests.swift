// The SOCKS5 dialogue with every reply, and with bytes that come in every possible way.
import NIOCore
import Seedbox
import Testing

@testable import Tunnel

@Suite struct SOCKS5ClientTests {
    private static let request = SOCKS5Client.Request(host: "a.onion", port: 22, username: "u", password: "pw")
    /// Method 2 chosen, credentials accepted, connected with an IPv4 address; then the host speaks.
    private static let dialogue: [[UInt8]] = [
        [0x05, 0x02], [0x01, 0x00], [0x05, 0x00, 0x00, 0x01, 0, 0, 0, 0, 0, 0],
    ]

    /// Feeds bytes in pieces; all actions but waiting, and what is left over.
    private func run(_ pieces: [[UInt8]]) -> ([SOCKS5Client.Action], [UInt8]) {
        var client = SOCKS5Client(Self.request)
        var buffer = ByteBuffer()
        var actions: [SOCKS5Client.Action] = []
        for piece in pieces {
            buffer.writeBytes(piece)
            while true {
                let action = client.received(&buffer)
                if action == .wait { break }
                actions.append(action)
                if actions.last == .connected { break }
            }
        }
        return (actions, Array(buffer.readableBytesView))
    }

    private static let expected: [SOCKS5Client.Action] = [
        .send([0x01, 1, UInt8(ascii: "u"), 2, UInt8(ascii: "p"), UInt8(ascii: "w")]),
        .send([0x05, 0x01, 0x00, 0x03, 7] + Array("a.onion".utf8) + [0, 22]),
        .connected,
    ]

    @Test("The whole dialogue, whole, byte by byte and cut at each offset, leaves the host's bytes alone")
    func cuts() {
        let bytes = Self.dialogue.flatMap { $0 } + Array("SSH-2.0".utf8)
        var ways = [Self.dialogue + [Array("SSH-2.0".utf8)], [bytes], bytes.map { [$0] }]
        for offset in 1..<bytes.count { ways.append([Array(bytes[..<offset]), Array(bytes[offset...])]) }
        for way in ways {
            let (actions, rest) = run(way)
            #expect(actions == Self.expected)
            #expect(rest == Array("SSH-2.0".utf8))
        }
    }

    @Test("The stream's first bytes go with the request and not before it")
    func ahead() {
        var request = Self.request
        request.ahead = Array("SSH-2.0-x".utf8)
        var client = SOCKS5Client(request)
        var replies = ByteBuffer(bytes: Self.dialogue[0])
        #expect(client.received(&replies) == Self.expected[0])
        replies.writeBytes(Self.dialogue[1])
        guard case .send(let bytes) = client.received(&replies), case .send(let alone) = Self.expected[1] else {
            Issue.record("The request was not sent.")
            return
        }
        #expect(bytes == alone + Array("SSH-2.0-x".utf8))
    }

    @Test(
        "The bound address may be of any kind",
        arguments: [
            [0x05, 0, 0, 0x04] + [UInt8](repeating: 0, count: 18),
            [0x05, 0, 0, 0x03, 3, 1, 2, 3, 0, 22],
        ] as [[UInt8]]
    )
    func boundAddress(reply: [UInt8]) {
        let (actions, rest) = run([[0x05, 0x02], [0x01, 0x00], reply])
        #expect(actions == Self.expected && rest.isEmpty)
    }

    @Test("Every reply of RFC 1928 and of tor is its failure, its address sent or not", arguments: SOCKSReply.allCases)
    func replies(reply: SOCKSReply) {
        for tail in [[], [0, 0, 0, 0, 0, 0]] as [[UInt8]] {
            let (actions, _) = run([[0x05, 0x02], [0x01, 0x00], [0x05, reply.rawValue, 0x00, 0x01] + tail])
            #expect(actions.last == .fail(.reply(reply)))
        }
        #expect(reply.problem.message.hasSuffix("."))
    }

    @Test("What is done about each reply: another circuit, a pause, or word to the owner")
    func remedies() {
        let remedies: [SOCKSReply.Remedy: Set<SOCKSReply>] = [
            .newCircuit: [.introductionFailed, .rendezvousFailed, .introductionTimedOut],
            .backOff: [
                .generalFailure, .networkUnreachable, .hostUnreachable, .connectionRefused, .ttlExpired,
                .descriptorNotFound, .descriptorInvalid,
            ],
            .tellOwner: [
                .notAllowed, .commandNotSupported, .addressTypeNotSupported, .authorizationMissing, .authorizationWrong,
                .badAddress,
            ],
        ]
        for (remedy, replies) in remedies {
            for reply in replies { #expect(reply.remedy == remedy) }
        }
        #expect(remedies.values.reduce(0) { $0 + $1.count } == SOCKSReply.allCases.count)
        #expect(SOCKSFailure.closed.remedy == .backOff && SOCKSFailure.unknownReply(0x99).remedy == .backOff)
        #expect(SOCKSFailure.notSOCKS.remedy == .tellOwner && SOCKSFailure.credentialsRefused.remedy == .tellOwner)
    }

    @Test(
        "What is no SOCKS5, or refuses the credentials, is told apart",
        arguments: [
            ([[0x04]], .notSOCKS), ([Array("HTTP/1.1 400".utf8)], .notSOCKS),
            ([[0x05, 0xFF]], .credentialsRefused), ([[0x05, 0x00]], .notSOCKS),
            ([[0x05, 0x02], [0x01, 0x01]], .credentialsRefused), ([[0x05, 0x02], [0x05, 0x00]], .notSOCKS),
            ([[0x05, 0x02], [0x01, 0x00], [0x05, 0x99, 0x00, 0x01]], .unknownReply(0x99)),
            ([[0x05, 0x02], [0x01, 0x00], [0x05, 0x00, 0x00, 0x07]], .notSOCKS),
        ] as [([[UInt8]], SOCKSFailure)]
    )
    func refusals(bytes: [[UInt8]], failure: SOCKSFailure) {
        #expect(run(bytes).0.last == .fail(failure))
    }

    @Test("An end before the end is a failure, once")
    func closed() {
        var client = SOCKS5Client(Self.request)
        #expect(client.closed() == .fail(.closed))
        #expect(client.closed() == .wait)
    }

    @Test(
        "Silence before the request is the port's, after it the circuit's",
        arguments: [
            (0, .silent), (1, .silent),
            (2, .noCircuit),
        ] as [(Int, SOCKSFailure)]
    )
    func timedOut(answers: Int, failure: SOCKSFailure) {
        var client = SOCKS5Client(Self.request)
        for answer in Self.dialogue.prefix(answers) {
            var bytes = ByteBuffer(bytes: answer)
            _ = client.received(&bytes)
        }
        #expect(client.timedOut() == .fail(failure))
        #expect(client.timedOut() == .wait)
    }

    @Test("A hundred thousand mutated dialogues neither crash nor take the host's bytes for a reply")
    func mutated() {
        var random = SplitMix(state: 7)
        let bytes = Self.dialogue.flatMap { $0 } + Array("SSH-2.0".utf8)
        for _ in 0..<100_000 {
            var mutant = bytes
            for _ in 0...Int.random(in: 0..<3, using: &random) {
                mutant[Int.random(in: 0..<mutant.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            let (actions, _) = run([mutant])
            #expect(actions.count <= 3)
        }
    }
}

/// A small generator with a fixed seed, so that a failure can be seen again.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
