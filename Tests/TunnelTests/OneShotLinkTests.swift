// The race of a command's attempts, with what they come to as values.
import Logging
import NIOPosix
import Seedbox
import Synchronization
import Testing

@testable import Tunnel

@Suite struct OneShotLinkTests {
    /// What was begun, and to where.
    private final class Log: Sendable {
        let begun = Mutex<[String]>([])
        let discarded = Mutex<[Int]>([])

        func begin(_ isolation: String, _ address: String) -> Int {
            begun.withLock {
                $0.append(isolation == OneShotLink.sharedCircuit ? "shared \(address)" : "own \(address)")
                return $0.count
            }
        }
    }

    private let log = Log()

    private func link(addresses: [String] = ["a.onion"], hedge: Duration = .seconds(60)) -> OneShotLink {
        var configuration = TunnelConfiguration(
            box: "box",
            addresses: addresses,
            user: "user",
            keyFile: "/nowhere",
            hostKeys: [],
            software: "farseed"
        )
        configuration.timing.hedgeAfter = hedge
        configuration.timing.spacing = .milliseconds(1)
        let group = MultiThreadedEventLoopGroup.singleton
        let source = Tor.Source.given(socks: .unix(path: "/nowhere"), control: nil, credential: .cookie)
        let tor = Tor(source, group: group, logger: Logger(label: "test"))
        return OneShotLink(configuration, tor: tor, group: group)
    }

    private func race(_ link: OneShotLink, _ outcome: @escaping @Sendable (Int) async throws -> Int) async throws -> Int
    {
        try await link.fastest(
            { _ in },
            discard: { [log] late in log.discarded.withLock { $0.append(late) } },
            { [log] _, address, isolation, _ in try await outcome(log.begin(isolation, address)) }
        )
    }

    private static func forever() async throws -> Int {
        try await Task.sleep(for: .seconds(600))
        return 0
    }

    @Test func `One attempt that succeeds is the only one, on the circuit that commands share`() async throws {
        #expect(try await race(link()) { $0 } == 1)
        #expect(log.begun.withLock { $0 } == ["shared a.onion"])
    }

    @Test func `An attempt that takes long gets a rival on a circuit of its own, and is given up when that opens`()
        async throws
    {
        let winner = try await race(link(hedge: .milliseconds(20))) { $0 == 2 ? 2 : try await Self.forever() }
        #expect(winner == 2)
        #expect(log.begun.withLock { $0 } == ["shared a.onion", "own a.onion"])
    }

    @Test func `There are three attempts at most`() async throws {
        let failure = LinkStory.failure(.newCircuit)
        let problem = await #expect(throws: Problem.self) { _ = try await race(link()) { _ in throw failure } }
        #expect(problem == failure.problem)
        #expect(log.begun.withLock { $0 } == ["shared a.onion", "own a.onion", "own a.onion"])
    }

    @Test(arguments: [SOCKSReply.Remedy.tellOwner, .backOff])
    func `What another circuit cannot mend is told at once`(remedy: SOCKSReply.Remedy) async throws {
        let failure = LinkStory.failure(remedy)
        let problem = await #expect(throws: Problem.self) { _ = try await race(link()) { _ in throw failure } }
        #expect(problem == failure.problem)
        #expect(log.begun.withLock { $0.count } == 1)
    }

    @Test func `What is wrong at one address need not be at the next`() async throws {
        let failure = LinkStory.failure(.tellOwner)
        let link = link(addresses: ["a.onion", "b.onion"])
        #expect(try await race(link) { if $0 == 1 { throw failure } else { $0 } } == 2)
        #expect(log.begun.withLock { $0 } == ["shared a.onion", "own b.onion"])
    }

    @Test func `An attempt that opens too late is ended`() async throws {
        let winner = try await race(link(hedge: .milliseconds(20))) { number in
            // It takes no notice of being cancelled.
            if number == 1 { await Task { try? await Task.sleep(for: .milliseconds(200)) }.value }
            return number
        }
        #expect(winner == 2)
        #expect(log.discarded.withLock { $0 } == [1])
    }

    @Test func `A command that is given up ends its attempts and begins no other`() async throws {
        let (begun, told) = AsyncStream<Void>.makeStream()
        let link = link()
        let task = Task {
            try await race(link) { number in
                told.yield()
                // It takes no notice of being cancelled, and opens too late.
                await Task { try? await Task.sleep(for: .milliseconds(50)) }.value
                return number
            }
        }
        for await _ in begun { break }
        task.cancel()
        _ = try? await task.value
        #expect(log.begun.withLock { $0.count } == 1)
    }
}
