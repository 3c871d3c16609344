// Order for each torrent, side by side across torrents, and nothing started that is not stored.

import Notation
import Seedbox
import Testing

@testable import Jobs

@Suite struct JobSchedulerTests {
    @Test func `the link is asked for once, and jobs wait until it is live`() {
        var scheduler = JobScheduler()
        scheduler.load(someJob(1), at: 0)
        scheduler.load(someJob(2), at: 0)
        var step = scheduler.step(at: 0)
        #expect(step.ask == ["vps"])
        #expect(step.start == [])
        #expect(step.save.map(\.state.name) == [.waiting, .waiting])
        #expect(step.wakeAt == 1_000_000)
        #expect(scheduler.step(at: 1) == JobScheduler.Step(wakeAt: 1_000_000))
        scheduler.live("vps")
        step = scheduler.step(at: 2)
        #expect(step.start == [1, 2])
        #expect(step.save.map(\.state) == [.sent, .sent])
    }

    @Test func `over hours without Tor jobs wait in their order, and only what is wanted no longer lapses`() {
        let hour: Int64 = 3_600_000
        var scheduler = JobScheduler()
        scheduler.load(someJob(1, targets: [hash(1)], expiresAt: 168 * hour), at: 0)
        scheduler.load(someJob(2, targets: [hash(1)], expiresAt: 6 * hour), at: 0)
        scheduler.load(someJob(3, targets: [hash(1)], expiresAt: 12 * hour), at: 0)
        #expect(scheduler.step(at: 0).ask == ["vps"])
        // The link is looked for again and again; nothing is begun meanwhile, and nothing counts as tried.
        for time in stride(from: Int64(0), to: 12 * hour, by: 1_800_000) {
            scheduler.linkFailed("vps")
            let step = scheduler.step(at: time)
            #expect(step.ask == ["vps"] && step.start == [])
            #expect(step.wakeAt == (time < 6 * hour ? 6 : 12) * hour)
            #expect(step.save.map(\.id) == (time == 6 * hour ? [2] : []))
            #expect(scheduler.jobs.map(\.id) == (time < 6 * hour ? [1, 2, 3] : [1, 3]))
            #expect(scheduler.jobs.allSatisfy { $0.state.name == .waiting && $0.attempts == 0 })
        }
        // One that was lost on its first try waits on past its time, for its answer may come.
        scheduler.live("vps")
        #expect(scheduler.step(at: 12 * hour - 1).start == [1])
        scheduler.failed(1, Problem(.connectionLost, "lost"), at: 12 * hour - 1)
        let step = scheduler.step(at: 200 * hour)
        #expect(step.start == [] && step.ask == ["vps"])
        #expect(step.save.map(\.state.name) == [.confirming, .expired])
        scheduler.live("vps")
        #expect(scheduler.step(at: 200 * hour).start == [1])
        scheduler.answered(1, .null, at: 200 * hour)
        #expect(scheduler.step(at: 200 * hour).save.map(\.state) == [.done(.null)])
        #expect(scheduler.jobs.isEmpty)
    }

    @Test func `jobs of one torrent go one after the other`() {
        var scheduler = JobScheduler()
        for id in 1...3 as ClosedRange<Int64> { scheduler.load(someJob(id, targets: [hash(1)]), at: 0) }
        _ = scheduler.step(at: 0)
        scheduler.live("vps")
        #expect(scheduler.step(at: 0).start == [1])
        scheduler.answered(1, .null, at: 0)
        #expect(scheduler.step(at: 0).start == [2])
        // Order holds over a retry: the third does not overtake.
        scheduler.failed(2, Problem(.transmissionBusy, "busy"), at: 0)
        let step = scheduler.step(at: 0)
        #expect(step.start == [])
        #expect(step.wakeAt == 1_000)
        #expect(scheduler.step(at: 1_000).start == [2])
        scheduler.failed(2, Problem(.refused, "no"), at: 0)
        #expect(scheduler.step(at: 0).start == [3])
    }

    @Test func `one torrent does not hold up another, nor a job without one`() {
        var scheduler = JobScheduler()
        scheduler.load(someJob(1, targets: [hash(1)]), at: 0)
        scheduler.load(someJob(2, targets: [hash(1), hash(2)]), at: 0)
        scheduler.load(someJob(3, targets: [hash(3)]), at: 0)
        scheduler.load(someJob(4, targets: [hash(2)]), at: 0)
        scheduler.load(someJob(5), at: 0)
        scheduler.load(someJob(6, box: "other", targets: [hash(1)]), at: 0)
        _ = scheduler.step(at: 0)
        scheduler.live("vps")
        scheduler.live("other")
        #expect(scheduler.step(at: 0).start == [1, 3, 5, 6])
        scheduler.answered(1, .null, at: 0)
        #expect(scheduler.step(at: 0).start == [2])
        scheduler.answered(2, .null, at: 0)
        #expect(scheduler.step(at: 0).start == [4])
    }

    @Test func `no more than the bound are under way on a box`() {
        var limits = JobScheduler.Limits()
        limits.perBox = 3
        var scheduler = JobScheduler(limits: limits)
        for id in 1...10 as ClosedRange<Int64> { scheduler.load(someJob(id), at: 0) }
        _ = scheduler.step(at: 0)
        scheduler.live("vps")
        #expect(scheduler.step(at: 0).start == [1, 2, 3])
        scheduler.answered(2, .null, at: 0)
        #expect(scheduler.step(at: 0).start == [4])
    }

    @Test func `a broken link is asked for again, and the rest waits for it`() {
        var scheduler = JobScheduler()
        for id in 1...2 as ClosedRange<Int64> { scheduler.load(someJob(id, targets: [hash(1)]), at: 0) }
        _ = scheduler.step(at: 0)
        scheduler.live("vps")
        _ = scheduler.step(at: 0)
        scheduler.failed(1, Problem(.connectionLost, "gone"), at: 0)
        scheduler.load(someJob(3), at: 0)
        let step = scheduler.step(at: 0)
        #expect(step.start == [])
        #expect(step.ask == ["vps"])
        scheduler.linkFailed("vps")
        #expect(scheduler.step(at: 0).ask == ["vps"])
        scheduler.live("vps")
        #expect(scheduler.step(at: 1_000).start == [1, 3])
    }

    @Test func `a job that was sent before a crash is settled before a later one goes`() {
        var scheduler = JobScheduler()
        scheduler.load(someJob(1, targets: [hash(1)], state: .sent), at: 0)
        scheduler.load(someJob(2, targets: [hash(1)]), at: 0)
        scheduler.live("vps")
        let step = scheduler.step(at: 0)
        #expect(step.start == [1])
        #expect(step.save.map(\.state.name) == [.confirming, .waiting])
    }

    @Test func `an expired or cancelled job makes way`() {
        var scheduler = JobScheduler()
        scheduler.load(someJob(1, targets: [hash(1)], expiresAt: 10), at: 0)
        scheduler.load(someJob(2, targets: [hash(1)]), at: 0)
        scheduler.load(someJob(3, targets: [hash(1)]), at: 0)
        #expect(scheduler.step(at: 0).wakeAt == 10)
        let step = scheduler.step(at: 10)
        #expect(step.save.map(\.state) == [.expired])
        scheduler.dropped(2)
        scheduler.live("vps")
        #expect(scheduler.step(at: 11).start == [3])
    }

    @Test(arguments: 0..<60 as Range<UInt64>)
    func `whatever happens, order, bounds and progress hold`(_ seed: UInt64) {
        var world = SchedulerWorld(seed: seed)
        for _ in 0..<400 { world.turn() }
        world.finish()
    }
}

/// A random history with a model beside it, which knows of each job only what the scheduler said.
private struct SchedulerWorld {
    private var dice: SeededDice
    private var scheduler: JobScheduler
    private var now: Int64 = 0
    private var lastID: Int64 = 0
    /// Unfinished jobs as last saved.
    private var jobs: [Int64: Job] = [:]
    private var running: Set<Int64> = []
    private var live: Set<String> = []
    private var asked: Set<String> = []
    private let perBox: Int

    init(seed: UInt64) {
        dice = SeededDice(seed: seed)
        perBox = dice.roll(4) + 1
        var limits = JobScheduler.Limits()
        limits.perBox = perBox
        scheduler = JobScheduler(limits: limits)
    }

    mutating func turn() {
        now += Int64(dice.roll(400))
        switch dice.roll(8) {
        case 0, 1, 2: load()
        case 3, 4, 5: answer()
        case 6:
            if let box = asked.sorted().randomElement(using: &dice) {
                asked.remove(box)
                if dice.roll(3) == 0 {
                    scheduler.linkFailed(box)
                } else {
                    scheduler.live(box)
                    live.insert(box)
                }
            }
        default:
            let waiting = jobs.values.filter { !running.contains($0.id) && $0.state.name == .waiting }
            if let job = waiting.sorted(by: { $0.id < $1.id }).randomElement(using: &dice) {
                scheduler.dropped(job.id)
                jobs[job.id] = nil
            }
        }
        step()
    }

    /// From here on everything goes well: then everything must end.
    mutating func finish() {
        for _ in 0..<10_000 where !jobs.isEmpty {
            now += 30_000
            for box in asked { scheduler.live(box) }
            live.formUnion(asked)
            asked = []
            for id in running.sorted() {
                scheduler.answered(id, .null, at: now)
                running.remove(id)
            }
            step()
        }
        #expect(jobs.isEmpty)
        #expect(scheduler.jobs.isEmpty)
        #expect(scheduler.step(at: now) == JobScheduler.Step())
    }

    private mutating func load() {
        lastID += 1
        let box = ["a", "b"][dice.roll(2)]
        let targets = (0..<dice.roll(4)).map { _ in hash(dice.roll(5)) }
        let states: [JobState] = [.accepted, .waiting(.init()), .sent, .confirming(.init())]
        let state = dice.roll(3) == 0 ? states[dice.roll(4)] : .accepted
        let job = someJob(
            lastID,
            box: box,
            targets: Array(Set(targets)).sorted(),
            expiresAt: now + Int64(dice.roll(60_000)) + 1,
            state: state
        )
        jobs[lastID] = job
        scheduler.load(job, at: now)
    }

    private mutating func answer() {
        guard let id = running.sorted().randomElement(using: &dice), let box = jobs[id]?.box else { return }
        running.remove(id)
        guard dice.roll(2) == 0 else {
            scheduler.answered(id, .null, at: now)
            return
        }
        guard let code = Problem.Code.allCases.randomElement(using: &dice) else { return }
        scheduler.failed(id, Problem(code, "x"), at: now)
        if code.jobVerdict.linkIsDown { live.remove(box) }
    }

    private mutating func step() {
        let before = jobs
        let step = scheduler.step(at: now)
        for job in step.save {
            #expect(before[job.id] != nil, "Only unfinished jobs change.")
            jobs[job.id] = job.state.isEnd ? nil : job
        }
        for box in step.ask {
            #expect(!asked.contains(box) && !live.contains(box), "A link is asked for once.")
            asked.insert(box)
        }
        for id in step.start {
            guard let job = jobs[id], let old = before[id] else {
                Issue.record("An ended job was started.")
                continue
            }
            #expect(step.save.contains { $0.id == id }, "That it is sent is stored first.")
            #expect(job.state.name == .sent || job.state.name == .confirming)
            #expect(job.attempts == old.attempts + 1)
            #expect(live.contains(job.box))
            #expect(running.insert(id).inserted)
            #expect(!isBlocked(job), "It is the first of each of its torrents.")
            if job.state.name == .sent { #expect(now < job.expiresAt, "A fresh job is not begun late.") }
        }
        for box in ["a", "b"] {
            let load = running.count { jobs[$0]?.box == box }
            #expect(load <= perBox)
            guard live.contains(box), load < perBox else { continue }
            // There is room, so whatever may go has gone.
            for job in jobs.values where job.box == box && !running.contains(job.id) && !isBlocked(job) {
                let readyAt = JobMachine(job, at: now).readyAt
                #expect((readyAt ?? 0) > now, "Job \(job.id) could go and did not.")
                #expect((step.wakeAt ?? .max) <= readyAt ?? 0, "Nobody would wake it.")
            }
        }
    }

    /// Whether an earlier unfinished job acts on one of its torrents.
    private func isBlocked(_ job: Job) -> Bool {
        jobs.values.contains { other in
            other.id < job.id && other.box == job.box && !Set(other.targets).isDisjoint(with: job.targets)
        }
    }
}
