/// Tells the agent whether anybody looks, so that it asks Transmission often or seldom.
import Calls
import Notation
import Seedbox
import Synchronization
import Web
import Wire

/// The shell of `BoxAudience`, for one seedbox.
final class BoxPace: Sendable {
    private struct State {
        var audience = BoxAudience()
        var bells: [Int: AsyncStream<Void>.Continuation] = [:]
        var lastBell = 0
    }

    private let state = Mutex(State())
    private let start = ContinuousClock.now

    /// Follows who subscribes to the topics of a box.
    func follow(_ realm: Realm, of box: String) async {
        let prefix = "farseed.\(box)."
        for await topics in realm.watchedTopics() {
            let hasSubscriber = topics.contains { $0.hasPrefix(prefix) }
            change { audience, now in audience.subscribed(hasSubscriber, at: now) }
        }
    }

    /// Somebody asked what is known, once.
    func glanced() { change { audience, now in audience.glanced(at: now) } }

    /// Counts a command as looking for as long as `body` takes.
    func looking<Success>(_ body: () async throws -> Success) async rethrows -> Success {
        change { audience, _ in audience.commandCame() }
        defer { change { audience, now in audience.commandLeft(at: now) } }
        return try await body()
    }

    /// Keeps the agent at the other end informed until the connection is lost or the task cancelled.
    func inform(_ connection: CallConnection) async throws {
        guard try await connection.peerHello().capabilities.contains("pace") else { return }
        let (bell, number, news) = listen()
        defer { state.withLock { $0.bells[number] = nil } }
        // It takes it that somebody looks until it is told.
        var told = true
        var alarm: Task<Void, Never>?
        defer { alarm?.cancel() }
        for await _ in news {
            alarm?.cancel()
            let now = now
            let (isLooking, rests) = state.withLock { ($0.audience.isLooking(at: now), $0.audience.rests(after: now)) }
            if isLooking != told {
                _ = try await connection.call("pace", ["watched": .bool(isLooking)])
                told = isLooking
            }
            guard let rests else { continue }
            // Unstructured: it is called off by whoever comes meanwhile.
            alarm = Task {
                guard (try? await Task.sleep(for: .milliseconds(rests - now))) != nil else { return }
                bell.yield()
            }
        }
    }

    /// Yields at the beginning and whenever something has changed.
    private func listen() -> (AsyncStream<Void>.Continuation, Int, AsyncStream<Void>) {
        let (stream, bell) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        bell.yield()
        let number = state.withLock { state in
            state.lastBell += 1
            state.bells[state.lastBell] = bell
            return state.lastBell
        }
        return (bell, number, stream)
    }

    private func change(_ body: (inout BoxAudience, Int64) -> Void) {
        let now = now
        let bells = state.withLock { state -> [AsyncStream<Void>.Continuation] in
            let wasLooking = state.audience.isLooking(at: now)
            body(&state.audience, now)
            // Somebody more, while somebody looks who stays, is no news.
            guard !wasLooking || state.audience.rests(after: now) != nil else { return [] }
            return Array(state.bells.values)
        }
        for bell in bells { bell.yield() }
    }

    private var now: Int64 {
        let (seconds, attoseconds) = (ContinuousClock.now - start).components
        return seconds * 1000 + attoseconds / 1_000_000_000_000_000
    }
}
