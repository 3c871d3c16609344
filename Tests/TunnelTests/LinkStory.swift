// The link's machine with what it was told and when.
import Seedbox
import Testing

@testable import Tunnel

/// A machine with what it was told and when, so that a test reads as a story.
struct LinkStory {
    var machine: LinkMachine
    var now = Duration.zero

    init(addresses: Int = 1, timing: LinkTiming = LinkTiming()) {
        machine = LinkMachine(timing, addresses: addresses)
    }

    mutating func tell(
        _ event: LinkMachine.Event,
        after pause: Duration = .seconds(1),
        jitter: Double = 1
    ) -> [LinkMachine.Action] {
        now += pause
        return machine.handle(event, at: now, jitter: jitter)
    }

    /// A story whose link is live by session `id`.
    static func live(addresses: Int = 1) -> LinkStory {
        var story = LinkStory(addresses: addresses)
        _ = story.tell(.torUsable)
        _ = story.tell(.opened(1))
        _ = story.tell(.heard(1, roundTrip: .seconds(1)))
        return story
    }

    static func suspect() -> LinkStory {
        var story = live()
        _ = story.tell(.timer(.ping))
        _ = story.tell(.timer(.suspect))
        return story
    }

    /// A story whose link is live by session 1, while session 2 stands by.
    static func standingBy() -> LinkStory {
        var timing = LinkTiming()
        timing.standby = true
        var story = LinkStory(addresses: 1, timing: timing)
        _ = story.tell(.torUsable)
        #expect(story.tell(.opened(1)).first == .set(.retry, .milliseconds(500)))
        #expect(story.tell(.timer(.retry)) == [.attempt(2, address: 0)])
        #expect(story.tell(.opened(2)) == [.ping(2)])
        _ = story.tell(.heard(1, roundTrip: .seconds(1)))
        #expect(story.tell(.heard(2, roundTrip: .seconds(2))).isEmpty)
        #expect(story.machine.name == "live" && story.machine.session?.id == 1)
        return story
    }

    static func failure(
        _ remedy: SOCKSReply.Remedy,
        _ stage: Dialer.Stage = .circuit,
        _ code: Problem.Code = .onionUnreachable
    ) -> DialFailure {
        DialFailure(Problem(code, "It failed."), remedy, at: stage)
    }

    static let lost = Problem(.connectionLost, "Lost.")
}
