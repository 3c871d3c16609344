// That nothing in the way of an event is out of proportion.
import Calls
import Notation
import Testing

@Suite struct ThroughputTests {
    @Test func `Twenty thousand small events and two thousand calls in a row pass within the deadline`() async throws {
        let event: Value = ["kind": "delta", "epoch": 1, "seq": 5, "set": ["aa": ["down": 100, "progress": 0.5]]]
        try await connected { call in
            guard call.procedure == "events" else { return call.arguments }
            for _ in 0..<20_000 { try await call.emit(event) }
            return .null
        } _: { caller, _ in
            let call = try await caller.open("events")
            var count = 0
            for await input in call.events where input == .event(event) { count += 1 }
            #expect(count == 20_000)
            for _ in 0..<2_000 { _ = try await caller.call("echo") }
        }
    }
}
