// A spare session that stands by, and one that replaces a session which has carried much.
import Testing

@testable import Tunnel

@Suite struct LinkSpareTests {
    @Test("Without standby nothing stands by")
    func none() {
        var story = LinkStory.live()
        #expect(story.tell(.timer(.retry)).isEmpty)
    }

    @Test("A spare is pinged with the session in use, and takes over at once when that ends")
    func takesOver() {
        var story = LinkStory.standingBy()
        let pings = story.tell(.timer(.ping))
        #expect(pings.contains(.ping(1)) && pings.contains(.ping(2)))
        _ = story.tell(.heard(2, roundTrip: .seconds(2)))
        let actions = story.tell(.ended(1, LinkStory.lost))
        #expect(actions.contains(.adopt(2)) && actions.contains(.set(.retry, .milliseconds(500))))
        #expect(story.machine.name == "live" && story.machine.session?.roundTrip == .seconds(2))
        #expect(story.tell(.timer(.retry)) == [.attempt(3, address: 0)])
    }

    @Test("A spare that has answered ends the pauses that the failures before it made long")
    func failuresEnd() {
        var story = LinkStory.standingBy()
        for id in 2...9 {
            _ = story.tell(.ended(id, LinkStory.lost))
            #expect(story.tell(.timer(.retry), after: .seconds(600)) == [.attempt(id + 1, address: 0)])
            _ = story.tell(.opened(id + 1))
        }
        _ = story.tell(.heard(10, roundTrip: .seconds(1)))
        _ = story.tell(.heard(1, roundTrip: .seconds(1)))
        _ = story.tell(.timer(.ping))
        #expect(story.tell(.ended(10, LinkStory.lost)) == [.set(.retry, .seconds(1))])
    }

    @Test("When the session in use is suspect the spare is asked, and its answer decides")
    func answers() {
        var story = LinkStory.standingBy()
        _ = story.tell(.timer(.ping))
        #expect(story.tell(.timer(.suspect)) == [.ping(2), .set(.retry, .seconds(10))])
        let actions = story.tell(.heard(2, roundTrip: .seconds(1)))
        #expect(actions.contains(.adopt(2)) && actions.last == .end(1))
        #expect(story.machine.name == "live" && story.machine.session?.id == 2)
    }

    @Test("The old session answers first: the spare goes on standing by")
    func oldAnswers() {
        var story = LinkStory.standingBy()
        _ = story.tell(.timer(.ping))
        _ = story.tell(.timer(.suspect))
        #expect(story.tell(.heard(1, roundTrip: .seconds(1))).contains(.cancel(.retry)))
        #expect(story.machine.name == "live")
        #expect(story.tell(.ended(1, LinkStory.lost)).contains(.adopt(2)))
    }

    @Test("A spare that does not answer either gives way to a third")
    func bothSilent() {
        var story = LinkStory.standingBy()
        _ = story.tell(.timer(.ping))
        _ = story.tell(.timer(.suspect))
        #expect(story.tell(.timer(.retry), after: .seconds(10)) == [.end(2), .attempt(3, address: 0)])
        _ = story.tell(.reached(3, .login))
        #expect(story.tell(.timer(.dead)).first == .end(1))
        #expect(story.machine.name == "authenticating")
    }

    @Test("A spare whose ping is long unanswered does not take over")
    func silentSpare() {
        var story = LinkStory.standingBy()
        _ = story.tell(.timer(.ping))
        _ = story.tell(.heard(1, roundTrip: .seconds(1)))
        let actions = story.tell(.ended(1, LinkStory.lost), after: .seconds(11))
        #expect(actions.contains(.end(2)) && story.machine.name == "lost")
    }

    @Test("A spare that is dead or has ended is replaced")
    func spareLost() {
        var story = LinkStory.standingBy()
        _ = story.tell(.timer(.ping))
        let again = story.tell(.timer(.ping), after: .seconds(10))
        #expect(!again.contains(.ping(2)) && !again.contains(.end(2)))
        #expect(story.tell(.timer(.ping), after: .seconds(45)).contains(.end(2)))
        #expect(story.tell(.timer(.retry)) == [.attempt(3, address: 0)])
        #expect(story.tell(.opened(3)) == [.ping(3)])
        #expect(story.tell(.ended(3, LinkStory.lost)) == [.set(.retry, .seconds(1))])
        #expect(story.tell(.timer(.retry)) == [.attempt(4, address: 0)])
        #expect(story.tell(.failed(4, LinkStory.failure(.backOff))) == [.set(.retry, .seconds(2))])
        #expect(story.machine.name == "live" && story.machine.session?.id == 1)
    }

    @Test("An attempt at a spare goes on as the link's own when the session ends")
    func coming() {
        var story = LinkStory.standingBy()
        _ = story.tell(.ended(2, LinkStory.lost))
        _ = story.tell(.timer(.retry))
        #expect(story.tell(.ended(1, LinkStory.lost)).last == .set(.retry, .seconds(15)))
        #expect(story.machine.name == "connecting")
        #expect(story.tell(.opened(3)).contains(.adopt(3)))
    }

    @Test("A session that has carried much is replaced before it is closed, and its calls may end on it")
    func recycled() {
        var story = LinkStory.live()
        _ = story.tell(.timer(.ping))
        let worn = LinkTiming().recycleAfter
        #expect(!story.tell(.heard(1, roundTrip: .seconds(1), carried: worn - 1)).contains(.set(.retry, .zero)))
        _ = story.tell(.timer(.ping))
        #expect(story.tell(.heard(1, roundTrip: .seconds(1), carried: worn)).last == .set(.retry, .zero))
        #expect(story.tell(.timer(.retry)) == [.attempt(2, address: 0)])
        #expect(story.tell(.failed(2, LinkStory.failure(.backOff))) == [.set(.retry, .seconds(1))])
        #expect(story.tell(.timer(.retry)) == [.attempt(3, address: 0)])
        #expect(story.machine.session?.id == 1)
        let actions = story.tell(.opened(3))
        #expect(actions.contains(.adopt(3)) && actions.last == .retire(1))
        #expect(story.tell(.ended(1, LinkStory.lost)).isEmpty && story.machine.name == "live")
    }

    @Test("A suspect session that answers and has carried much is replaced by the rival that is on its way")
    func recycledSuspect() {
        for hasRival in [true, false] {
            var story = LinkStory.suspect()
            if !hasRival { _ = story.tell(.failed(2, LinkStory.failure(.backOff))) }
            let actions = story.tell(.heard(1, roundTrip: .seconds(1), carried: LinkTiming().recycleAfter))
            #expect(!actions.contains(.abandon(2)) && !actions.contains(.cancel(.retry)))
            #expect(story.machine.name == "live")
            if !hasRival { #expect(story.tell(.timer(.retry)) == [.attempt(3, address: 0)]) }
            #expect(story.tell(.opened(hasRival ? 2 : 3)).last == .retire(1))
        }
    }

    @Test("Where one stands by it replaces the worn session at once")
    func recycledByStandby() {
        var story = LinkStory.standingBy()
        _ = story.tell(.timer(.ping))
        let actions = story.tell(.heard(1, roundTrip: .seconds(1), carried: LinkTiming().recycleAfter))
        #expect(actions.contains(.adopt(2)) && actions.last == .retire(1))
    }
}
