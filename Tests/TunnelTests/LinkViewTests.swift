// The hop that is named when something is down, and what tor's refusal says about it.
import Seedbox
import Testing

@testable import Tunnel

@Suite struct LinkViewTests {
    /// The hops that are not up, with their states, in order.
    private func hops(
        _ machine: LinkMachine,
        tor: Tor.Status = Tor.Status(),
        isCircuitGone: Bool = false
    ) -> [String] {
        let status = LinkView(machine: machine, tor: tor, isCircuitGone: isCircuitGone).status
        return LinkStatus.Hop.allCases.dropLast().compactMap { hop in
            status[hop].state == .up ? nil : "\(hop.rawValue) \(status[hop].state.rawValue)"
        }
    }

    @Test("A lost session names the hop that ended, until an attempt has come past it")
    func loss() {
        var story = LinkStory.live()
        #expect(hops(story.machine).isEmpty)
        _ = story.tell(.ended(1, LinkStory.lost, at: .greeting))
        #expect(hops(story.machine) == ["agent down"])
        _ = story.tell(.timer(.retry))
        _ = story.tell(.reached(2, .circuit))
        #expect(hops(story.machine) == ["circuit waiting", "ssh unknown", "agent down"])
        _ = story.tell(.reached(2, .greeting))
        #expect(hops(story.machine) == ["agent down"])
        _ = story.tell(.opened(2))
        #expect(hops(story.machine).isEmpty)
    }

    @Test("Without a word of what ended it was the connection to sshd")
    func sshd() {
        var story = LinkStory.live()
        _ = story.tell(.ended(1, LinkStory.lost))
        #expect(hops(story.machine) == ["ssh down", "agent unknown"])
        _ = story.tell(.timer(.retry))
        _ = story.tell(.reached(2, .circuit))
        #expect(hops(story.machine) == ["circuit waiting", "ssh down", "agent unknown"])
        _ = story.tell(.failed(2, DialFailure(.reply(.generalFailure), to: Self.onion, isTorReady: true)))
        #expect(hops(story.machine) == ["ssh down", "agent unknown"])
        let status = LinkView(machine: story.machine, tor: Tor.Status()).status
        #expect(status.problem?.code == .connectionRefused && status[.ssh].detail == "connection refused")
    }

    @Test("A circuit that tor says is gone is named, and in its own sentence")
    func circuitGone() {
        var story = LinkStory.live()
        _ = story.tell(.ended(1, LinkStory.lost))
        #expect(hops(story.machine, isCircuitGone: true) == ["circuit down", "ssh unknown", "agent unknown"])
        _ = story.tell(.timer(.retry))
        _ = story.tell(.reached(2, .circuit))
        let status = LinkView(machine: story.machine, tor: Tor.Status(), isCircuitGone: true).status
        #expect(status[.circuit].state == .down && status.problem?.message.contains("a relay on the way") == true)
        _ = story.tell(.reached(2, .handshake))
        #expect(hops(story.machine, isCircuitGone: true) == ["ssh waiting", "agent unknown"])
    }

    @Test(
        "Silence is put down to the circuit, or to what does not answer on another circuit either",
        arguments: [
            (Dialer.Stage.socks, ["circuit waiting", "ssh unknown", "agent unknown"], ["circuit down"]),
            (.circuit, ["circuit waiting", "ssh unknown", "agent unknown"], ["circuit down"]),
            (.handshake, ["ssh waiting", "agent unknown"], ["ssh down"]),
            (.login, ["ssh waiting", "agent unknown"], ["ssh down"]),
            (.greeting, ["agent waiting"], ["agent down"]),
        ]
    )
    func silence(stage: Dialer.Stage, suspected: [String], dead: [String]) {
        var story = LinkStory.suspect()
        _ = story.tell(.reached(2, stage))
        #expect(hops(story.machine) == suspected)
        _ = story.tell(.timer(.dead))
        #expect(hops(story.machine).filter { $0.hasSuffix(" down") } == dead)
        #expect(story.machine.failure?.problem.code == .connectionLost)
    }

    @Test("Silence without a second session is the circuit's")
    func silenceAlone() {
        var story = LinkStory.suspect()
        _ = story.tell(.failed(2, LinkStory.failure(.backOff)))
        #expect(hops(story.machine) == ["circuit waiting", "ssh unknown", "agent unknown"])
        _ = story.tell(.timer(.dead))
        #expect(hops(story.machine) == ["circuit down", "ssh unknown", "agent unknown"])
    }

    @Test("Tor's port stays down until it answers")
    func tor() {
        var story = LinkStory()
        _ = story.tell(.torUsable)
        _ = story.tell(.reached(1, .socks))
        #expect(hops(story.machine).first == "tor waiting")
        _ = story.tell(.failed(1, LinkStory.failure(.backOff, .socks, .socksUnreachable)))
        #expect(hops(story.machine).first == "tor down")
        _ = story.tell(.timer(.retry))
        #expect(hops(story.machine).first == "tor down")
        _ = story.tell(.reached(2, .circuit))
        #expect(hops(story.machine).first == "circuit waiting")
    }

    @Test(
        "What is wrong with the SOCKS port is tor's hop",
        arguments: [
            (SOCKSFailure.credentialsRefused, "socks refused"), (.notSOCKS, "socks invalid"), (.closed, "tor failed"),
            (.silent, "does not answer"),
        ]
    )
    func port(failure: SOCKSFailure, words: String) {
        var story = LinkStory()
        _ = story.tell(.torUsable)
        _ = story.tell(.reached(1, .circuit))
        _ = story.tell(.failed(1, DialFailure(failure, to: Self.onion, isTorReady: true)))
        let hop = LinkView(machine: story.machine, tor: Tor.Status()).status[.tor]
        #expect(hop.state == .down && hop.detail == words)
    }

    private static let onion = "\(String(repeating: "a", count: 56)).onion"

    @Test(
        "A refusal at the far end of the circuit is sshd's, any other tor's",
        arguments: [
            (SOCKSReply.connectionRefused, "vps.example", true, Dialer.Stage.handshake, Problem.Code.connectionRefused),
            (.connectionRefused, onion, true, .handshake, .connectionRefused),
            (.generalFailure, onion, true, .handshake, .connectionRefused),
            (.generalFailure, onion, false, .circuit, .torNotReady),
            (.generalFailure, "vps.example", true, .circuit, .torNotReady),
            (.hostUnreachable, onion, true, .circuit, .hostUnreachable),
            (.descriptorNotFound, onion, true, .circuit, .onionNotFound),
        ] as [(SOCKSReply, String, Bool, Dialer.Stage, Problem.Code)]
    )
    func refusal(reply: SOCKSReply, address: String, isReady: Bool, stage: Dialer.Stage, code: Problem.Code) {
        let failure = DialFailure(.reply(reply), to: address, isTorReady: isReady)
        #expect(failure.stage == stage && failure.problem.code == code && failure.remedy == .backOff)
    }

    @Test("A circuit that broke is not taken for a refusal where the control port tells them apart")
    func broken() {
        let failure = DialFailure(.reply(.generalFailure), to: Self.onion, isTorReady: true, reason: "DESTROY")
        #expect(failure.stage == .circuit && failure.problem.code == .hostUnreachable && failure.remedy == .newCircuit)
        let refusal = DialFailure(.reply(.generalFailure), to: Self.onion, isTorReady: true, reason: "END")
        #expect(refusal.stage == .handshake && refusal.problem.code == .connectionRefused && refusal.remedy == .backOff)
    }
}
