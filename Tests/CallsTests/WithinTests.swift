// A bound on how long something may take, by Swift's timers and by an event loop's.
import NIOCore
import NIOPosix
import Seedbox
import Testing

@testable import Calls

@Suite struct WithinTests {
    private static let overdue = Problem(.timedOut, "It took too long.")

    @Test(arguments: [false, true])
    func `What ends in time gives its result, and what does not is called off`(byLoop: Bool) async throws {
        let loop = byLoop ? MultiThreadedEventLoopGroup.singleton.any() : nil
        let result = try await within(.seconds(60), on: loop, orThrow: Self.overdue) { 7 }
        #expect(result == 7)
        await #expect(throws: Self.overdue) {
            try await within(.milliseconds(1), on: loop, orThrow: Self.overdue) {
                try await Task.sleep(for: .seconds(60))
            }
        }
        await #expect(throws: Problem(.notFound, "Its own error.")) {
            try await within(.seconds(60), on: loop, orThrow: Self.overdue) {
                throw Problem(.notFound, "Its own error.")
            }
        }
    }

    @Test(arguments: [false, true])
    func `Whoever is called off says so`(byLoop: Bool) async throws {
        let loop = byLoop ? MultiThreadedEventLoopGroup.singleton.any() : nil
        let (begun, begins) = AsyncStream<Void>.makeStream()
        let waiting = Task {
            try await within(.seconds(60), on: loop, orThrow: Self.overdue) {
                begins.yield()
                try await Task.sleep(for: .seconds(60))
            }
        }
        for await _ in begun { break }
        waiting.cancel()
        await #expect(throws: CancellationError.self) { try await waiting.value }
    }
}
