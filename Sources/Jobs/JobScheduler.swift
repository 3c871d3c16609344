// Which job goes next: in order for each torrent, side by side across torrents, a bounded number at once.

package import Notation
package import Seedbox

/// Holds every unfinished job and says, at each step, what to store and whom to send.
///
/// What it says to store must be committed before what it says to start is started; see `Step`.
package struct JobScheduler: Sendable {
    package struct Limits: Sendable, Hashable {
        /// Jobs under way on one box; a call each on its one connection.
        package var perBox = 16

        package init() {}
    }

    /// What follows from all that happened since the last step.
    package struct Step: Sendable, Hashable {
        /// Jobs that changed, to be committed together.
        package var save: [Job] = []
        /// Ids to be sent after that commit.
        package var start: [Int64] = []
        /// Boxes whose link must be live for what waits: wait for it and call `live`.
        package var ask: [String] = []
        /// When to step again if nothing happens.
        package var wakeAt: Int64?
    }

    private enum LinkState {
        /// Asked for; jobs wait.
        case asked
        case live
    }

    /// A torrent on a box: the thing whose jobs stay in order.
    private struct Target: Hashable {
        var box: String
        var hash: InfoHash
    }

    private let limits: Limits
    private let timing: JobMachine.Timing
    private var machines: [Int64: JobMachine] = [:]
    /// Ids in ascending order; ended ones are taken out at the next step.
    private var order: [Int64] = []
    private var running: Set<Int64> = []
    private var changed: Set<Int64> = []
    private var links: [String: LinkState] = [:]
    /// The highest id ever loaded.
    package private(set) var lastID: Int64 = 0

    package init(limits: Limits = Limits(), timing: JobMachine.Timing = JobMachine.Timing()) {
        self.limits = limits
        self.timing = timing
    }

    /// The jobs it holds, in order.
    package var jobs: [Job] { order.compactMap { machines[$0]?.job } }

    package subscript(id: Int64) -> Job? { machines[id]?.job }

    /// Takes a job that is unfinished in the store; ids must come in ascending order.
    package mutating func load(_ job: Job, at now: Int64) {
        precondition(job.id > lastID, "Jobs are loaded in the order of their acceptance.")
        lastID = job.id
        let machine = JobMachine(job, timing: timing, at: now)
        machines[job.id] = machine
        order.append(job.id)
        // A row that could not be read comes as failed, and is stored as that.
        if machine.job.state != job.state || job.state.isEnd { changed.insert(job.id) }
    }

    package mutating func answered(_ id: Int64, _ result: Value, at now: Int64) {
        running.remove(id)
        machines[id]?.answered(result, at: now)
        changed.insert(id)
    }

    package mutating func failed(_ id: Int64, _ problem: Problem, at now: Int64) {
        running.remove(id)
        guard let box = machines[id]?.job.box else { return }
        machines[id]?.failed(problem, at: now)
        changed.insert(id)
        // Where it is asked for already, as by the job that noticed first, it is not asked for twice.
        if problem.code.jobVerdict.linkIsDown, links[box] == .live { links[box] = nil }
    }

    /// How to undo the job was stored.
    package mutating func noted(_ id: Int64) {
        machines[id]?.noted()
    }

    /// The link that was asked for is live.
    package mutating func live(_ box: String) {
        links[box] = .live
    }

    /// Asking for the link failed: it is asked for again with the next step.
    package mutating func linkFailed(_ box: String) {
        links[box] = nil
    }

    /// The job ended in the store without us, by being cancelled there.
    package mutating func dropped(_ id: Int64) {
        running.remove(id)
        machines[id] = nil
        changed.remove(id)
    }

    package mutating func step(at now: Int64) -> Step {
        var step = Step()
        var load: [String: Int] = [:]
        for id in running { load[machines[id]?.job.box ?? "", default: 0] += 1 }
        // A torrent is taken by the first unfinished job that acts on it; later ones wait behind.
        var taken: Set<Target> = []
        for id in order {
            guard let box = machines[id]?.job.box else { continue }
            if !running.contains(id) { tick(id, at: now) }
            guard let job = machines[id]?.job, !job.state.isEnd else { continue }
            var isFirst = true
            for hash in job.targets where !taken.insert(Target(box: box, hash: hash)).inserted { isFirst = false }
            guard !running.contains(id) else { continue }
            if let deadline = machines[id]?.deadline { step.wake(at: deadline) }
            guard isFirst, let readyAt = machines[id]?.readyAt else {
                hold(id, at: now)
                continue
            }
            guard readyAt <= now else {
                step.wake(at: readyAt)
                continue
            }
            switch links[box] {
            case .live where load[box, default: 0] < limits.perBox:
                load[box, default: 0] += 1
                running.insert(id)
                machines[id]?.began(at: now)
                changed.insert(id)
                step.start.append(id)
            case .live, .asked: hold(id, at: now)
            case nil:
                links[box] = .asked
                step.ask.append(box)
                hold(id, at: now)
            }
        }
        step.save = changed.sorted().compactMap { machines[$0]?.job }
        changed = []
        let ended = step.save.filter(\.state.isEnd).map(\.id)
        for id in ended { machines[id] = nil }
        order.removeAll { machines[$0] == nil }
        return step
    }

    private mutating func tick(_ id: Int64, at now: Int64) {
        guard let deadline = machines[id]?.deadline, now >= deadline else { return }
        machines[id]?.ticked(at: now)
        changed.insert(id)
    }

    private mutating func hold(_ id: Int64, at now: Int64) {
        guard case .accepted = machines[id]?.job.state else { return }
        machines[id]?.held(at: now)
        changed.insert(id)
    }
}

extension JobScheduler.Step {
    fileprivate mutating func wake(at time: Int64) {
        wakeAt = min(wakeAt ?? time, time)
    }
}
