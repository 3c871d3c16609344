// Every transition of the link's life, with time and chance as values.
import Seedbox
import Testing

@testable import Tunnel

@Suite struct LinkMachineTests {
    @Test("Nothing is tried before tor can be used, then at once")
    func waitingForTor() {
        var story = LinkStory()
        #expect(story.machine.name == "waiting-for-tor")
        #expect(story.tell(.torUnusable).isEmpty)
        #expect(story.tell(.kicked).isEmpty)
        #expect(story.tell(.torUsable) == [.set(.retry, .seconds(15)), .attempt(1, address: 0)])
        #expect(story.machine.name == "connecting")
    }

    @Test(
        "An attempt's stages have names",
        arguments: zip(
            Dialer.Stage.allCases,
            ["connecting", "connecting", "authenticating", "authenticating", "greeting"]
        )
    )
    func stages(stage: Dialer.Stage, name: String) {
        var story = LinkStory()
        _ = story.tell(.torUsable)
        #expect(story.tell(.reached(1, stage)).isEmpty)
        #expect(story.machine.name == name)
    }

    @Test("An opened session is adopted and pinged at once")
    func opened() {
        var story = LinkStory()
        _ = story.tell(.torUsable)
        #expect(
            story.tell(.opened(1)) == [
                .cancel(.retry), .adopt(1), .cancel(.ping), .ping(1), .set(.suspect, .seconds(10)),
                .set(.dead, .seconds(45)),
            ]
        )
        #expect(story.machine.name == "live" && story.machine.failure == nil)
    }

    @Test("An answer quiets the timers and sets the next ping; round trips are smoothed by an eighth")
    func heard() {
        var story = LinkStory.live()
        _ = story.tell(.timer(.ping))
        #expect(
            story.tell(.heard(1, roundTrip: .seconds(9))) == [
                .cancel(.suspect), .cancel(.dead), .set(.ping, .seconds(10)),
            ]
        )
        #expect(story.machine.session?.roundTrip == .seconds(2))
    }

    @Test("On a slow link suspicion and death come later: 4 and 8 smoothed round trips")
    func slowLink() {
        var story = LinkStory()
        _ = story.tell(.torUsable)
        _ = story.tell(.opened(1))
        _ = story.tell(.heard(1, roundTrip: .seconds(20)))
        let actions = story.tell(.timer(.ping))
        #expect(actions == [.cancel(.ping), .ping(1), .set(.suspect, .seconds(80)), .set(.dead, .seconds(160))])
    }

    @Test("Two seconds of round trip with a second of jitter for half an hour raise no alarm")
    func noFalseAlarm() {
        var story = LinkStory.live()
        var random = SplitMix(state: 3)
        for _ in 0..<180 {
            let actions = story.tell(.timer(.ping), after: .seconds(10))
            guard
                case .set(.suspect, let patience)? = actions.first(where: {
                    if case .set(.suspect, _) = $0 { true } else { false }
                })
            else { Issue.record("no patience in \(actions)"); return }
            let roundTrip = Duration.milliseconds(Int.random(in: 1_000...3_000, using: &random))
            #expect(roundTrip < patience)
            _ = story.tell(.heard(1, roundTrip: roundTrip), after: roundTrip)
            #expect(story.machine.name == "live")
        }
    }

    @Test("A session that ends is a loss that is seen, then tried again without a pause")
    func loss() {
        var story = LinkStory.live()
        #expect(
            story.tell(.ended(1, LinkStory.lost)) == [
                .cancel(.ping), .cancel(.suspect), .cancel(.dead), .set(.retry, .zero),
            ]
        )
        #expect(story.machine.name == "lost" && story.machine.failure?.problem == LinkStory.lost)
        #expect(story.tell(.timer(.retry), after: .zero) == [.set(.retry, .seconds(15)), .attempt(2, address: 0)])
    }

    @Test("After an agent's goodbye it is not called again at once, and seldom where only the owner can mend it")
    func goodbye() {
        for (code, pause) in [(Problem.Code.agentFailed, 1), (.controllerOutdated, 60)] {
            var story = LinkStory.live()
            let actions = story.tell(.ended(1, Problem(code, "Goodbye.")))
            #expect(actions.last == .set(.retry, .seconds(pause)))
            #expect(story.machine.failure?.stage == .greeting)
        }
    }

    @Test("Two attempts never begin within half a second")
    func spacing() {
        var story = LinkStory()
        _ = story.tell(.torUsable)
        #expect(
            story.tell(.failed(1, LinkStory.failure(.newCircuit)), after: .milliseconds(100)) == [
                .set(.retry, .milliseconds(400))
            ]
        )
        #expect(story.tell(.kicked, after: .milliseconds(100)) == [.set(.retry, .milliseconds(300))])
    }

    @Test("What another circuit may mend is tried again at once, twice, then with pauses")
    func hurried() {
        var story = LinkStory()
        _ = story.tell(.torUsable)
        var pauses: [[LinkMachine.Action]] = []
        for id in 1...4 {
            pauses.append(story.tell(.failed(id, LinkStory.failure(.newCircuit))))
            _ = story.tell(.timer(.retry), after: .seconds(60))
        }
        #expect(
            pauses == [
                [.set(.retry, .zero)], [.set(.retry, .zero)], [.forget, .set(.retry, .seconds(4))],
                [.set(.retry, .zero)],
            ]
        )
    }

    @Test("Pauses double up to a minute, with full jitter")
    func backOff() {
        var story = LinkStory()
        _ = story.tell(.torUsable)
        var bounds: [LinkMachine.Action] = []
        for id in 1...8 {
            bounds += story.tell(.failed(id, LinkStory.failure(.backOff)))
            #expect(story.machine.name == "backing-off")
            _ = story.tell(.timer(.retry), after: .seconds(60))
        }
        #expect(bounds == [1, 2, 4, 8, 16, 32, 60, 60].map { .set(.retry, .seconds($0)) })
        #expect(story.tell(.failed(9, LinkStory.failure(.backOff)), jitter: 0.5) == [.set(.retry, .seconds(30))])
    }

    @Test("Tor's own port is asked every two seconds at the latest, and at once when tor is back")
    func localPort() {
        var story = LinkStory()
        _ = story.tell(.torUsable)
        for id in 1...5 {
            let actions = story.tell(.failed(id, LinkStory.failure(.backOff, .socks, .socksUnreachable)))
            #expect(actions == [.set(.retry, .seconds(id == 1 ? 1 : 2))])
            _ = story.tell(.timer(.retry), after: .seconds(2))
        }
        _ = story.tell(.failed(6, LinkStory.failure(.backOff, .socks, .socksUnreachable)))
        _ = story.tell(.torUnusable)
        #expect(story.tell(.torUsable) == [.set(.retry, .seconds(15)), .attempt(7, address: 0)])
    }

    @Test("A retry while tor is known to be unusable waits for it")
    func retryWithoutTor() {
        var story = LinkStory()
        _ = story.tell(.torUsable)
        _ = story.tell(.failed(1, LinkStory.failure(.backOff)))
        _ = story.tell(.torUnusable)
        #expect(story.tell(.timer(.retry)) == [.cancel(.retry)])
        #expect(story.machine.name == "waiting-for-tor")
    }

    @Test("What only the owner can mend is told and tried seldom, or when somebody asks")
    func tellOwner() {
        var story = LinkStory()
        _ = story.tell(.torUsable)
        #expect(
            story.tell(.failed(1, LinkStory.failure(.tellOwner, .handshake, .hostKeyMismatch))) == [
                .set(.retry, .seconds(60))
            ]
        )
        #expect(story.machine.failure?.problem.code == .hostKeyMismatch)
        #expect(story.tell(.kicked) == [.set(.retry, .seconds(15)), .attempt(2, address: 0)])
    }

    @Test("With several addresses each failure moves on to the next")
    func addresses() {
        var story = LinkStory(addresses: 2)
        _ = story.tell(.torUsable)
        var tried: [LinkMachine.Action] = []
        for id in 1...3 {
            _ = story.tell(.failed(id, LinkStory.failure(.backOff)))
            tried += story.tell(.timer(.retry), after: .seconds(60)).filter {
                if case .attempt = $0 { true } else { false }
            }
        }
        #expect(tried == [.attempt(2, address: 1), .attempt(3, address: 0), .attempt(4, address: 1)])
    }

    @Test("After every three ways that led nowhere tor is told to forget, and later more and more seldom")
    func missedWays() {
        var story = LinkStory()
        var told: [Int] = []
        _ = story.tell(.torUsable)
        for attempt in 1...200 {
            if story.tell(.failed(attempt, LinkStory.failure(.newCircuit))).contains(.forget) { told.append(attempt) }
            _ = story.tell(.timer(.retry))
        }
        #expect(told == [3, 6, 9, 12, 15, 18, 21, 24, 48, 96, 192])
    }

    @Test("A refusal by the seedbox is no way that led nowhere; that it cannot be reached is one")
    func refusals() {
        var story = LinkStory()
        _ = story.tell(.torUsable)
        for attempt in 1...11 {
            _ = story.tell(.failed(attempt, LinkStory.failure(.newCircuit)))
            _ = story.tell(.timer(.retry))
        }
        let refused = LinkStory.failure(.backOff, .circuit, .connectionRefused)
        for attempt in 12...15 {
            #expect(!story.tell(.failed(attempt, refused)).contains(.forget))
            _ = story.tell(.timer(.retry))
        }
        let unreachable = LinkStory.failure(.backOff, .circuit, .hostUnreachable)
        #expect(story.tell(.failed(16, unreachable)).contains(.forget))
    }

    @Test("A session that opens ends the count of ways that led nowhere")
    func missedWaysBeforeSuccess() {
        var story = LinkStory()
        _ = story.tell(.torUsable)
        for attempt in 1...2 {
            _ = story.tell(.failed(attempt, LinkStory.failure(.newCircuit)))
            _ = story.tell(.timer(.retry))
        }
        _ = story.tell(.opened(3))
        _ = story.tell(.ended(3, LinkStory.lost))
        _ = story.tell(.timer(.retry))
        #expect(!story.tell(.failed(4, LinkStory.failure(.newCircuit))).contains(.forget))
    }

    @Test("Success forgets the failures before it")
    func forgets() {
        var story = LinkStory()
        _ = story.tell(.torUsable)
        for id in 1...5 {
            _ = story.tell(.failed(id, LinkStory.failure(.backOff)))
            _ = story.tell(.timer(.retry), after: .seconds(60))
        }
        _ = story.tell(.opened(6))
        _ = story.tell(.ended(6, LinkStory.lost))
        _ = story.tell(.timer(.retry))
        #expect(story.tell(.failed(7, LinkStory.failure(.backOff))) == [.set(.retry, .seconds(1))])
    }

    @Test(
        "Any order of any events keeps at most two at a time, of attempts and sessions",
        arguments: 1...20 as ClosedRange<UInt64>
    )
    func randomEvents(seed: UInt64) {
        var random = SplitMix(state: seed)
        var timing = LinkTiming()
        timing.standby = seed.isMultiple(of: 2)
        var story = LinkStory(addresses: 3, timing: timing)
        var attempts: Set<Int> = []
        var sessions: Set<Int> = []
        for _ in 0..<2_000 {
            let event: LinkMachine.Event
            switch Int.random(in: 0..<10, using: &random) {
            case 0: event = .torUsable
            case 1: event = .torUnusable
            case 2:
                guard let id = attempts.randomElement(using: &random) else { continue }
                attempts.remove(id)
                sessions.insert(id)
                event = .opened(id)
            case 3:
                guard let id = attempts.randomElement(using: &random) else { continue }
                attempts.remove(id)
                let remedies: [SOCKSReply.Remedy] = [.newCircuit, .backOff, .tellOwner]
                event = .failed(id, LinkStory.failure(remedies.randomElement(using: &random)!))
            case 4:
                guard let id = sessions.randomElement(using: &random) else { continue }
                sessions.remove(id)
                event = .ended(id, LinkStory.lost)
            case 5:
                guard let id = sessions.randomElement(using: &random) else { continue }
                event = .heard(id, roundTrip: .seconds(1), carried: Bool.random(using: &random) ? 600 << 20 : 0)
            case 6: event = .kicked
            default: event = .timer(LinkMachine.Timer.allCases.randomElement(using: &random)!)
            }
            for action in story.tell(event, jitter: Double.random(in: 0...1, using: &random)) {
                switch action {
                case .attempt(let id, let address):
                    #expect(address < 3)
                    attempts.insert(id)
                case .abandon(let id): attempts.remove(id)
                case .end(let id), .retire(let id): sessions.remove(id)
                case .adopt(let id): #expect(sessions.contains(id))
                case .ping(let id): #expect(sessions.contains(id))
                case .set, .cancel, .forget: break
                }
            }
            #expect(attempts.count <= 2 && sessions.count <= 2 && attempts.count + sessions.count <= 2)
            if let live = story.machine.session { #expect(sessions.contains(live.id)) }
        }
    }

    @Test func `sessions that die soon after their greeting are replaced more and more slowly`() {
        var story = LinkStory()
        _ = story.tell(.torUsable)
        var pauses: [Duration] = []
        for id in 1...7 {
            _ = story.tell(.opened(id), after: .seconds(30))
            for action in story.tell(.ended(id, Problem(.connectionLost, "It died."))) {
                if case .set(.retry, let pause) = action { pauses.append(pause) }
            }
            _ = story.tell(.timer(.retry), after: .seconds(600))
        }
        let timing = LinkTiming()
        #expect(pauses.prefix(3).allSatisfy { $0 == .zero })
        #expect(pauses.suffix(4) == [1, 2, 4, 8].map { min(timing.retryFirst * $0, timing.retryLast) })
        _ = story.tell(.opened(8))
        let later = story.tell(.ended(8, Problem(.connectionLost, "It was good.")), after: LinkMachine.steadyAfter)
        #expect(later.contains(.set(.retry, .zero)))
    }
}
