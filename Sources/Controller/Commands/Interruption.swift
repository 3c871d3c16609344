/// What Ctrl-C and the other ending signals do to a program on the seedbox and to us.
import Calls
import Foundation
import Synchronization

/// Before the program was asked for, a signal ends this process. Then the first calls the program off, and what it says at
/// its end is still heard; the second ends this process all the same, as does an end that takes long.
final class Interruption: Sendable {
    /// What a program that was called off gets to end in.
    private static let farewell = Duration.seconds(5)

    private struct State {
        var call: OutgoingCall?
        var first: Int32?
    }

    private let state = Mutex(State())

    /// The signal that called the program off.
    var signal: Int32? { state.withLock { $0.first } }

    /// The program was asked for.
    func runs(_ call: OutgoingCall) { state.withLock { $0.call = call } }

    /// Acts on signals until the task is cancelled.
    func watch(_ signals: AsyncStream<Int32>) async {
        await withDiscardingTaskGroup { group in
            for await signal in signals {
                guard let call = note(signal) else { exit(128 + signal) }
                call.cancel()
                group.addTask {
                    // Called off where the program has ended.
                    guard (try? await Task.sleep(for: Self.farewell)) != nil else { return }
                    // The daemon or the agent sees to the program.
                    exit(128 + signal)
                }
            }
        }
    }

    /// The call to be called off; nil where there is none, or it was called off before.
    private func note(_ signal: Int32) -> OutgoingCall? {
        state.withLock { state in
            guard state.first == nil, let call = state.call else { return nil }
            state.first = signal
            return call
        }
    }
}
