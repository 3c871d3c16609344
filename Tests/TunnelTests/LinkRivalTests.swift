// Two at a time: a session that does not answer, or an attempt that takes long, gets a rival.
import Seedbox
import Testing

@testable import Tunnel

@Suite struct LinkRivalTests {
    @Test("Silence makes it suspect and begins a rival, while the old one keeps its chance")
    func suspicion() {
        var story = LinkStory.live()
        _ = story.tell(.timer(.ping))
        #expect(story.tell(.timer(.suspect)) == [.attempt(2, address: 0)])
        #expect(story.machine.name == "suspect" && story.machine.session?.id == 1)
        #expect(story.tell(.reached(2, .login)).isEmpty)
    }

    @Test("The old session answers first: the rival is abandoned")
    func oldWins() {
        var story = LinkStory.suspect()
        #expect(
            story.tell(.heard(1, roundTrip: .seconds(3))) == [
                .cancel(.suspect), .cancel(.dead), .set(.ping, .seconds(10)), .cancel(.retry), .abandon(2),
            ]
        )
        #expect(story.machine.name == "live")
        // It got there all the same.
        #expect(story.tell(.opened(2)) == [.end(2)])
    }

    @Test("The rival answers first: it is adopted and the old one closed")
    func rivalWins() {
        var story = LinkStory.suspect()
        let actions = story.tell(.opened(2))
        #expect(actions.contains(.adopt(2)) && actions.last == .end(1))
        #expect(story.machine.session?.id == 2 && story.machine.name == "live")
        #expect(story.tell(.heard(1, roundTrip: .seconds(1))).isEmpty)
        #expect(story.tell(.ended(1, LinkStory.lost)).isEmpty)
    }

    @Test("A rival that fails is tried again while the old one may still answer")
    func rivalFails() {
        var story = LinkStory.suspect()
        #expect(story.tell(.failed(2, LinkStory.failure(.backOff))) == [.set(.retry, .seconds(1))])
        #expect(story.machine.name == "suspect")
        #expect(story.tell(.timer(.retry)) == [.attempt(3, address: 0)])
    }

    @Test("Death without a rival is a loss, with one the rival goes on")
    func death() {
        var story = LinkStory.suspect()
        #expect(
            story.tell(.timer(.dead)) == [
                .end(1), .cancel(.ping), .cancel(.suspect), .cancel(.dead), .set(.retry, .seconds(15)),
            ]
        )
        #expect(story.machine.name == "connecting" && story.machine.failure?.problem.code == .connectionLost)
        #expect(story.tell(.opened(2)).contains(.adopt(2)))

        var alone = LinkStory.suspect()
        _ = alone.tell(.failed(2, LinkStory.failure(.backOff)))
        let actions = alone.tell(.timer(.dead))
        #expect(actions.first == .end(1))
        #expect(alone.machine.name == "lost")
        #expect(alone.tell(.timer(.retry)) == [.set(.retry, .seconds(15)), .attempt(3, address: 0)])
    }

    /// A story with an attempt that takes long and a rival beside it.
    private func slow(addresses: Int = 1) -> LinkStory {
        var story = LinkStory(addresses: addresses)
        _ = story.tell(.torUsable)
        let expected: [LinkMachine.Action] = [
            .attempt(2, address: addresses > 1 ? 1 : 0), .set(.retry, .seconds(15)),
        ]
        #expect(story.tell(.timer(.retry), after: .seconds(15)) == expected)
        return story
    }

    @Test("An attempt that takes long gets one rival, to another address where there is one; the first to open wins")
    func hedge() {
        for (winner, loser) in [(1, 2), (2, 1)] {
            var story = slow(addresses: 2)
            _ = story.tell(.reached(2, .login))
            #expect(story.machine.name == "authenticating")
            #expect(story.tell(.timer(.retry)).isEmpty)
            let actions = story.tell(.opened(winner))
            #expect(actions.contains(.adopt(winner)) && actions.last == .abandon(loser))
            #expect(story.tell(.failed(loser, LinkStory.failure(.newCircuit))).isEmpty)
            #expect(story.tell(.opened(loser)) == [.end(loser)])
            #expect(story.machine.session?.id == winner)
        }
    }

    @Test("Of two attempts one may fail: the other goes on and gets a new rival after the pause")
    func hedgeFails() {
        for (failed, other) in [(1, 2), (2, 1)] {
            var story = slow()
            #expect(story.tell(.failed(failed, LinkStory.failure(.backOff))) == [.set(.retry, .seconds(1))])
            #expect(story.machine.name == "connecting")
            #expect(story.tell(.timer(.retry)) == [.attempt(3, address: 0), .set(.retry, .seconds(15))])
            #expect(story.tell(.opened(other)).last == .abandon(3))
        }
    }

    @Test("What only the owner can mend ends both attempts")
    func hedgeTellsOwner() {
        var story = slow()
        #expect(
            story.tell(.failed(2, LinkStory.failure(.tellOwner, .handshake, .hostKeyMismatch))) == [
                .set(.retry, .seconds(60)), .abandon(1),
            ]
        )
        #expect(story.machine.name == "backing-off")
    }

    @Test("What only the owner can mend at one address does not end the attempt at another")
    func hedgeAtAnotherAddress() {
        var story = slow(addresses: 2)
        let failure = LinkStory.failure(.tellOwner, .handshake, .hostKeyMismatch)
        #expect(story.tell(.failed(2, failure)) == [.set(.retry, .seconds(60))])
        #expect(story.tell(.opened(1)).contains(.adopt(1)))
    }

    @Test("Without a usable tor no rival is begun")
    func hedgeWithoutTor() {
        var story = LinkStory()
        _ = story.tell(.torUsable)
        _ = story.tell(.torUnusable)
        #expect(story.tell(.timer(.retry), after: .seconds(15)) == [.set(.retry, .seconds(15))])
        _ = story.tell(.torUsable)
        #expect(
            story.tell(.timer(.retry), after: .seconds(15)) == [.attempt(2, address: 0), .set(.retry, .seconds(15))]
        )
    }

    @Test("While tor finds no way the older attempt makes room for a new one, each with more time than the one before")
    func replaced() {
        var story = slow()
        let expected: [[LinkMachine.Action]] = [
            [.abandon(1), .attempt(3, address: 0), .set(.retry, .seconds(15))],
            [.forget, .abandon(2), .attempt(4, address: 0), .set(.retry, .seconds(30))],
            [.abandon(3), .attempt(5, address: 0), .set(.retry, .seconds(60))],
            [.abandon(4), .attempt(6, address: 0), .set(.retry, .seconds(90))],
            [.forget, .abandon(5), .attempt(7, address: 0), .set(.retry, .seconds(90))],
        ]
        for (actions, pause) in zip(expected, [15, 15, 30, 60, 90]) {
            #expect(story.tell(.timer(.retry), after: .seconds(pause)) == actions)
        }
        #expect(story.tell(.opened(6)).last == .abandon(7))
    }
}
