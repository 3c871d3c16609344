// What happens to the outbox between two steps, and the bell that calls for the next.

import Notation
import Seedbox
import Synchronization

final class OutboxInbox: Sendable {
    enum Event: Sendable {
        /// The queue has new jobs.
        case accepted
        /// A job was cancelled in the queue.
        case cancelled(Job)
        /// How to undo a job was committed.
        case noted(Int64)
        case answered(Int64, Value)
        case failed(Int64, Problem)
        case live(String)
        case linkFailed(String)
        /// The time that a step asked for has come.
        case woke
    }

    /// One ring is kept however often it is rung; the events wait beside it.
    let bell: AsyncStream<Void>
    private let ring: AsyncStream<Void>.Continuation
    private let events = Mutex<[Event]>([])

    init() {
        (bell, ring) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Bounded by what is under way and by callers who each wait for their own commit; mere calls are not repeated.
    func post(_ event: Event) {
        events.withLock { events in
            switch (event, events.last) {
            case (.accepted, .accepted), (.woke, .woke): break
            default: events.append(event)
            }
        }
        ring.yield()
    }

    func take() -> [Event] {
        events.withLock { events in
            defer { events = [] }
            return events
        }
    }
}
