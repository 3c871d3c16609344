// Events that change nothing, and moments at which the link must wait before it may act.
import Seedbox
import Testing

@testable import Tunnel

@Suite struct LinkStillnessTests {
    /// Numbers of attempts and sessions that the machine does not have.
    private static let strangers: [LinkMachine.Event] = [
        .reached(9, .login), .failed(9, LinkStory.failure(.backOff, .socks, .socksUnreachable)),
        .ended(9, LinkStory.lost), .heard(9, roundTrip: .seconds(1)),
    ]

    private static let waiting = LinkStory()
    private static let attempting = story(LinkStory(), [.torUsable])
    private static let backingOff = story(attempting, [.failed(1, LinkStory.failure(.backOff))])

    private static func story(_ story: LinkStory, _ events: [LinkMachine.Event]) -> LinkStory {
        var story = story
        for event in events { _ = story.tell(event) }
        return story
    }

    @Test(
        "What means nothing in a state changes nothing",
        arguments: [
            ("waiting-for-tor", waiting, [.torUnusable, .kicked] + LinkMachine.Timer.allCases.map { .timer($0) }),
            ("connecting", attempting, [.torUsable, .kicked, .timer(.ping), .timer(.suspect), .timer(.dead)]),
            ("live", .live(), [.torUsable, .kicked, .timer(.retry)]),
            ("suspect", .suspect(), [.torUsable, .kicked, .timer(.ping), .timer(.suspect), .timer(.retry)]),
            ("backing-off", backingOff, [.torUsable, .timer(.ping), .timer(.suspect), .timer(.dead)]),
        ] as [(String, LinkStory, [LinkMachine.Event])]
    )
    func nothing(name: String, story: LinkStory, events: [LinkMachine.Event]) {
        var story = story
        let before = story.machine.state
        #expect(story.machine.name == name)
        for event in events + Self.strangers {
            #expect(story.tell(event).isEmpty, "\(event)")
            #expect(story.machine.state == before, "\(event)")
        }
        // One that nobody waits for any more is closed.
        #expect(story.tell(.opened(9)) == [.end(9)])
        #expect(story.machine.state == before)
    }

    @Test("Tor's loss ends nothing that is under way")
    func torLost() {
        for before in [LinkStory.live(), .suspect(), Self.attempting] {
            var story = before
            #expect(story.tell(.torUnusable).isEmpty)
            #expect(story.machine.state == before.machine.state)
        }
    }

    @Test("A rival in doubt begins no sooner than half a second after the attempt before it")
    func suspectSpacing() {
        var story = Self.attempting
        _ = story.tell(.opened(1), after: .milliseconds(100))
        #expect(story.tell(.timer(.suspect), after: .milliseconds(100)) == [.set(.retry, .milliseconds(300))])
        #expect(story.machine.name == "suspect")
        #expect(story.tell(.timer(.retry), after: .milliseconds(300)) == [.attempt(2, address: 0)])
    }

    @Test("Nor does a rival of an attempt")
    func attemptSpacing() {
        var story = Self.attempting
        #expect(story.tell(.timer(.retry), after: .milliseconds(100)) == [.set(.retry, .milliseconds(400))])
        #expect(story.tell(.timer(.retry), after: .milliseconds(400)).contains(.attempt(2, address: 0)))
    }

    @Test("Nor does a spare, and none without a usable tor")
    func spareSpacing() {
        var timing = LinkTiming()
        timing.standby = true
        var story = Self.story(LinkStory(timing: timing), [.torUsable])
        _ = story.tell(.opened(1), after: .milliseconds(100))
        #expect(story.tell(.timer(.retry), after: .milliseconds(100)) == [.set(.retry, .milliseconds(300))])
        _ = story.tell(.torUnusable)
        #expect(story.tell(.timer(.retry)) == [.set(.retry, .seconds(15))])
        _ = story.tell(.torUsable)
        #expect(story.tell(.timer(.retry)) == [.attempt(2, address: 0)])
        // On its way it is no part of what is shown; where the session in use ends it is all there is.
        #expect(story.tell(.reached(2, .greeting)).isEmpty && story.machine.name == "live")
        #expect(story.tell(.ended(1, LinkStory.lost)).last == .set(.retry, .seconds(15)))
        #expect(story.machine.name == "greeting")
    }

    @Test("A spare that ends while the session in use is in doubt gives way to another at once")
    func spareEndsInDoubt() {
        var story = LinkStory.standingBy()
        _ = story.tell(.timer(.ping))
        _ = story.tell(.timer(.suspect))
        #expect(story.tell(.ended(2, LinkStory.lost)) == [.set(.retry, .zero)])
        #expect(story.machine.name == "suspect" && story.machine.session?.id == 1)
        #expect(story.tell(.timer(.retry), after: .zero) == [.attempt(3, address: 0)])
    }

    @Test("Where death is to come before doubt it is a loss like any other")
    func deadBeforeSuspect() {
        var story = LinkStory.live()
        _ = story.tell(.timer(.ping))
        let actions = story.tell(.timer(.dead), after: .seconds(5))
        #expect(actions == [.end(1), .cancel(.ping), .cancel(.suspect), .cancel(.dead), .set(.retry, .zero)])
        #expect(story.machine.name == "lost" && story.machine.failure?.stage == .circuit)
    }

    @Test(
        "A session that dies in silence is put down to how far the one beside it has come",
        arguments: zip(Dialer.Stage.allCases, [.circuit, .circuit, .handshake, .login, .greeting] as [Dialer.Stage])
    )
    func silence(reached: Dialer.Stage, stage: Dialer.Stage) {
        var story = Self.story(.suspect(), [.reached(2, reached), .timer(.dead)])
        #expect(story.machine.failure?.stage == stage)
        #expect(story.machine.failure?.problem.code == .connectionLost)
        #expect(story.tell(.opened(2)).contains(.adopt(2)))
    }
}
