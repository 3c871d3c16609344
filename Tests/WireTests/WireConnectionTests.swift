// The machine of a connection, event by event.
import NIOCore
import Notation
import Testing
import Wire

@Suite struct WireConnectionTests {
    private typealias Received = WireConnection.Received

    private static let ours = Hello(software: "ours", credit: 1_024)
    private static let theirs = Hello(software: "theirs", credit: 2_048)

    private func greeted(_ side: WireConnection.Side) -> WireConnection {
        var machine = WireConnection(side: side, hello: Self.ours)
        #expect(machine.received(Frame(.hello(Self.theirs))) == .greeted(Self.theirs, version: 1))
        return machine
    }

    private func called(_ id: UInt32, cost: Int = 20) -> Frame {
        Frame(.call(procedure: "watch", arguments: .null, cost: cost), call: id)
    }

    private func code(_ received: Received) -> WireError.Code? {
        if case .violated(let error) = received { error.code } else { nil }
    }

    @Test func `The peer's hello greets`() {
        let machine = greeted(.caller)
        #expect(machine.peer == Self.theirs)
    }

    @Test(arguments: [
        Frame(.ping(1)), Frame(.reply(.null), call: 1), Frame(.event(.null, cost: 10), call: 1),
        Frame(.cancel, call: 1),
    ])
    func `Anything before the hello is a violation`(_ frame: Frame) {
        var machine = WireConnection(side: .caller, hello: Self.ours)
        #expect(code(machine.received(frame)) == .misplaced)
        #expect(machine.peer == nil)
    }

    @Test func `A second hello is a violation`() {
        var machine = greeted(.callee)
        #expect(code(machine.received(Frame(.hello(Self.theirs)))) == .misplaced)
    }

    @Test func `A peer without a common version is told so`() {
        var machine = WireConnection(side: .caller, hello: Self.ours)
        let received = machine.received(Frame(.hello(Hello(software: "newer", versions: 2...3))))
        #expect(code(received) == .incompatible)
        guard case .violated(let error) = received else { return }
        #expect(error.goodbye?.code == "agent-incompatible")
        #expect(machine.open() == .closed)
    }

    @Test func `A goodbye ends a connection in every state`() {
        let goodbye = Frame(.goodbye(WireFailure(code: "controller-outdated", message: "Newer one seen.")))
        let ended = Received.ended(WireFailure(code: "controller-outdated", message: "Newer one seen."))
        var opening = WireConnection(side: .caller, hello: Self.ours)
        #expect(opening.received(goodbye) == ended)
        var machine = greeted(.caller)
        #expect(machine.received(goodbye) == ended)
        #expect(machine.received(goodbye) == .nothing)
        #expect(machine.open() == .closed)
    }

    @Test func `A ping is answered, a pong is reported`() {
        var machine = greeted(.callee)
        #expect(machine.received(Frame(.ping(7))) == .pong(7))
        #expect(machine.received(Frame(.pong(8))) == .ponged(8))
    }

    // MARK: The caller

    @Test func `A caller calls before the greeting, but sends no data before it`() {
        var machine = WireConnection(side: .caller, hello: Self.ours)
        #expect(machine.open() == .send(1))
        #expect(machine.spend(10, on: 1) == .wait)
        _ = machine.received(Frame(.hello(Self.theirs)))
        #expect(machine.credit(1) == 2_048)
        #expect(machine.spend(10, on: 1) == .send)
        #expect(machine.open() == .send(2))
    }

    @Test func `A reply or failure settles a call once`() {
        var machine = greeted(.caller)
        #expect(machine.open() == .send(1))
        #expect(machine.open() == .send(2))
        let failure = WireFailure(code: "not-found", message: "None.")
        #expect(machine.received(Frame(.reply("done"), call: 2)) == .settle(2, .reply("done")))
        #expect(machine.received(Frame(.failure(failure), call: 1)) == .settle(1, .failure(failure)))
        #expect(machine.openCalls == 0)
        #expect(code(machine.received(Frame(.reply("again"), call: 2))) == .misplaced)
    }

    @Test func `A call beyond 1,024 is not opened until one ends`() {
        var machine = greeted(.caller)
        for id in 1...UInt32(WireConnection.maximumCalls) { #expect(machine.open() == .send(id)) }
        #expect(machine.open() == .full)
        _ = machine.received(Frame(.reply(.null), call: 5))
        #expect(machine.open() == .send(1_025))
    }

    @Test(arguments: [
        Frame(.reply(.null), call: 2), Frame(.failure(WireFailure(code: "x", message: "y")), call: 2),
        Frame(.event(.null, cost: 10), call: 2), Frame(.data(lane: 0, ByteBuffer()), call: 2),
        Frame(.end(lane: 0), call: 2), Frame(.credit(1), call: 2),
    ])
    func `A frame for a call that never was is a violation`(_ frame: Frame) {
        var machine = greeted(.caller)
        #expect(machine.open() == .send(1))
        #expect(code(machine.received(frame)) == .unknownCall)
    }

    @Test(arguments: [Frame(.call(procedure: "x", arguments: .null, cost: 9), call: 1), Frame(.cancel, call: 1)])
    func `A callee neither calls nor cancels`(_ frame: Frame) {
        var machine = greeted(.caller)
        _ = machine.open()
        #expect(code(machine.received(frame)) == .misplaced)
    }

    @Test(arguments: [
        Frame(.event(.null, cost: 10), call: 1), Frame(.data(lane: 0, ByteBuffer()), call: 1),
        Frame(.end(lane: 0), call: 1),
    ])
    func `A callee sends nothing after its answer`(_ frame: Frame) {
        var machine = greeted(.caller)
        _ = machine.open()
        _ = machine.received(Frame(.reply(.null), call: 1))
        #expect(code(machine.received(frame)) == .misplaced)
    }

    @Test func `Credit for a call that has ended is a harmless race`() {
        var machine = greeted(.caller)
        _ = machine.open()
        _ = machine.received(Frame(.reply(.null), call: 1))
        #expect(machine.received(Frame(.credit(10), call: 1)) == .nothing)
    }

    @Test func `A cancel is sent once and only while the call is open`() {
        var machine = greeted(.caller)
        _ = machine.open()
        #expect(machine.cancel(1) == true)
        #expect(machine.cancel(1) == false)
        #expect(machine.cancel(2) == false)
        #expect(machine.isOpen(1))
        _ = machine.received(Frame(.failure(WireFailure(code: "cancelled", message: "")), call: 1))
        #expect(machine.cancel(1) == false)
    }

    // MARK: The callee

    @Test func `A call starts, is cancelled once, and is answered once`() {
        var machine = greeted(.callee)
        #expect(machine.received(called(1)) == .start(1, procedure: "watch", arguments: .null))
        #expect(machine.received(Frame(.cancel, call: 1)) == .cancel(1))
        #expect(machine.received(Frame(.cancel, call: 1)) == .nothing)
        #expect(machine.answer(1) == true)
        #expect(machine.answer(1) == false)
        #expect(machine.received(Frame(.cancel, call: 1)) == .nothing)
    }

    @Test(arguments: [1, 3] as [UInt32])
    func `Ids of calls must ascend`(_ id: UInt32) {
        var machine = greeted(.callee)
        _ = machine.received(called(3))
        #expect(code(machine.received(called(id))) == .misplaced)
    }

    @Test func `One call more than 1,024 is refused and the connection goes on`() {
        var machine = greeted(.callee)
        for id in 1...UInt32(WireConnection.maximumCalls) { _ = machine.received(called(id)) }
        guard case .refuse(1_025, let failure) = machine.received(called(1_025)) else {
            Issue.record("The call was not refused.")
            return
        }
        #expect(failure.code == "too-large")
        // What goes with it was under way before the caller could know.
        #expect(machine.received(Frame(.data(lane: 0, ByteBuffer()), call: 1_025)) == .nothing)
        #expect(machine.received(Frame(.cancel, call: 1_025)) == .nothing)
        #expect(machine.answer(7) == true)
        #expect(machine.received(called(1_026)) == .start(1_026, procedure: "watch", arguments: .null))
    }

    @Test func `Arguments beyond 16 MiB in all are refused until a call ends`() {
        var machine = greeted(.callee)
        for id in 1...64 as ClosedRange<UInt32> {
            #expect(machine.received(called(id, cost: 262_144)) == .start(id, procedure: "watch", arguments: .null))
        }
        guard case .refuse(65, _) = machine.received(called(65, cost: 1)) else {
            Issue.record("The call was not refused.")
            return
        }
        #expect(machine.answer(1) == true)
        #expect(machine.received(called(66, cost: 1)) == .start(66, procedure: "watch", arguments: .null))
    }

    @Test(arguments: [
        Frame(.reply(.null), call: 1), Frame(.failure(WireFailure(code: "x", message: "y")), call: 1),
        Frame(.event(.null, cost: 10), call: 1),
    ])
    func `A caller does not answer`(_ frame: Frame) {
        var machine = greeted(.callee)
        _ = machine.received(called(1))
        #expect(code(machine.received(frame)) == .misplaced)
    }

    @Test func `Data for a call that was answered is a harmless race`() {
        var machine = greeted(.callee)
        _ = machine.received(called(1))
        _ = machine.answer(1)
        #expect(machine.received(Frame(.data(lane: 0, ByteBuffer()), call: 1)) == .nothing)
        #expect(machine.received(Frame(.end(lane: 0), call: 1)) == .nothing)
        #expect(machine.received(Frame(.credit(5), call: 1)) == .nothing)
        #expect(machine.spend(10, on: 1) == .ended)
    }

    // MARK: Credit and lanes

    @Test func `The last frame may overdraw the credit, and the next waits for it to be settled`() {
        var machine = greeted(.callee)
        _ = machine.received(called(1))
        #expect(machine.spend(2_047, on: 1) == .send)
        #expect(machine.credit(1) == 1)
        #expect(machine.spend(100, on: 1) == .send)
        #expect(machine.credit(1) == 0)
        #expect(machine.spend(10, on: 1) == .wait)
        #expect(machine.received(Frame(.credit(99), call: 1)) == .resume(1))
        #expect(machine.spend(10, on: 1) == .wait)
        #expect(machine.received(Frame(.credit(1), call: 1)) == .resume(1))
        #expect(machine.spend(10, on: 1) == .send)
    }

    @Test func `Who sends without credit breaks the protocol`() {
        var machine = greeted(.caller)
        _ = machine.open()
        #expect(code(machine.received(Frame(.event(.null, cost: 1_024), call: 1))) == nil)
        #expect(code(machine.received(Frame(.event(.null, cost: 10), call: 1))) == .overCredit)
    }

    @Test func `Credit is granted when half of it was consumed`() {
        var machine = greeted(.caller)
        _ = machine.open()
        _ = machine.received(Frame(.event(.null, cost: 2_000), call: 1))
        #expect(machine.consumed(511, on: 1) == nil)
        #expect(machine.consumed(1, on: 1) == 512)
        #expect(machine.consumed(1_488, on: 1) == 1_488)
        #expect(machine.consumed(0, on: 1) == nil)
        #expect(machine.consumed(1_000, on: 2) == nil)
        #expect(code(machine.received(Frame(.event(.null, cost: 1_024), call: 1))) == nil)
    }

    @Test func `More credit than a call can hold is a violation`() {
        var machine = greeted(.caller)
        _ = machine.open()
        #expect(machine.received(Frame(.credit(UInt32(Int32.max) - 2_048), call: 1)) == .resume(1))
        #expect(code(machine.received(Frame(.credit(1), call: 1))) == .overLimit)
    }

    @Test func `A lane ends once on either side`() {
        var machine = greeted(.callee)
        _ = machine.received(called(1))
        #expect(machine.end(lane: 1, on: 1) == true)
        #expect(machine.end(lane: 1, on: 1) == false)
        #expect(machine.spend(10, on: 1, lane: 1) == .ended)
        #expect(machine.spend(10, on: 1, lane: 2) == .send)
        #expect(machine.received(Frame(.end(lane: 0), call: 1)) == .deliver(1, .end(lane: 0), cost: 0))
        var other = machine
        #expect(code(machine.received(Frame(.end(lane: 0), call: 1))) == .misplaced)
        #expect(code(other.received(Frame(.data(lane: 0, ByteBuffer()), call: 1))) == .misplaced)
    }

    @Test func `After the end nothing is sent and nothing taken`() {
        var machine = greeted(.callee)
        _ = machine.received(called(1))
        machine.close()
        #expect(machine.received(called(2)) == .nothing)
        #expect(machine.spend(10, on: 1) == .ended)
        #expect(machine.answer(1) == false)
        #expect(machine.end(lane: 0, on: 1) == false)
        #expect(machine.credit(1) == 0)
    }

    @Test func `Random frames never trap the machine`() {
        var random = SeededGenerator(seed: 1)
        let bodies = Example.all.map(\.frame.body)
        for side in [WireConnection.Side.caller, .callee] {
            for _ in 0..<2_000 {
                var machine = greeted(side)
                for _ in 0..<30 {
                    if side == .caller, Bool.random(using: &random) { _ = machine.open() }
                    let id = UInt32.random(in: 0...6, using: &random)
                    let received = machine.received(Frame(bodies.randomElement(using: &random)!, call: id))
                    if case .violated = received { #expect(machine.peer == nil) }
                    if side == .callee, Bool.random(using: &random) { _ = machine.answer(id) }
                    _ = machine.spend(100, on: id)
                    _ = machine.consumed(700, on: id)
                }
            }
        }
    }
}
