/// Answers the commands that reach the controller through its control socket.
import Calls
import NIOCore
import Notation
import Seedbox
import Store
import Tunnel
import Web

struct ControlHandler: CallHandler {
    let boxes: [Box]
    let desk: JobDesk
    let users: WebServer
    let caller: ControlCaller
    let audit: AuditLog

    private static let origin = "control socket"

    func handle(_ call: IncomingCall) async throws -> Value {
        do throws(Problem) { try caller.mayCall(call.procedure) } catch {
            audit.note(call.procedure, who: caller.name, from: Self.origin, outcome: error.code.rawValue)
            throw error
        }
        switch call.procedure {
        case "status": return status
        case "torrents": return try await torrents(call)
        case "watch":
            let box = try box(call)
            return try await box.pace.looking { try await watch(box, call) }
        case "exec": return try await execute(call)
        case "user.changed":
            users.realm.end(try await users.logins.expire())
            return [:]
        case "page": return ["page": .string(try await users.pageAddress)]
        default:
            if let answer = try await desk.handle(call, who: caller.name, origin: Self.origin) {
                // The passkeys in announce addresses are the owner's.
                return caller.role == .owner ? answer : DetailDesk.shown(answer)
            }
            throw Problem(
                .unknownProcedure,
                "The controller knows no procedure of the name asked for; the command line and the controller are "
                    + "probably of different versions. Restart the controller."
            )
        }
    }

    private var status: Value {
        [
            "software": .string(Farseed.software),
            "boxes": .array(
                boxes.map { box in
                    let view = box.mirror.view
                    let disk = view.host.filter { DaemonReport.Box.diskFigures.contains($0.key) }
                    return DaemonReport.Box(name: box.mirror.name, link: view.link.value, disk: disk).value
                }
            ),
        ]
    }

    /// The box that `box` names, or the only one.
    private func box(_ call: IncomingCall) throws -> Box {
        guard let name = call.arguments["box"]?.string else {
            if boxes.count == 1 { return boxes[0] }
            throw Problem(
                .ambiguous,
                "There are \(boxes.count) seedboxes: say which by --box. Known: \(names)."
            )
        }
        guard let box = boxes.first(where: { $0.mirror.name == name }) else {
            throw Problem(.notFound, "The controller knows no seedbox of that name. Known: \(names).")
        }
        return box
    }

    private var names: String { boxes.map(\.mirror.name).joined(separator: ", ") }

    /// All torrents as last heard, in parts; fails where none were ever known and the link says why.
    private func torrents(_ call: IncomingCall) async throws -> Value {
        let box = try box(call)
        box.pace.glanced()
        let view = try await box.known(within: Self.patience(call))
        var feed = WatchFeed()
        for event in feed.next(view.table.torrents) { try await call.emit(event.value) }
        return ["link": view.link.value]
    }

    /// Everything about a box as it changes; a slow reader gets fewer, larger events.
    private func watch(_ box: Box, _ call: IncomingCall) async throws -> Value {
        var feed = WatchFeed()
        var told: BoxMirror.View?
        for await _ in box.mirror.changes() {
            try await call.ready()
            let view = box.mirror.view
            if view.daemon != told?.daemon, let daemon = view.daemon {
                try await call.emit(Event.daemon(daemon).value)
            }
            if view.session != told?.session { try await call.emit(Event.session(view.session).value) }
            if view.host != told?.host { try await call.emit(Event.host(view.host).value) }
            if view.link != told?.link {
                try await call.emit(["kind": "link", "link": view.link.value])
            }
            if view.isKnown {
                for event in feed.next(view.table.torrents) { try await call.emit(event.value) }
            }
            told = view
        }
        throw CancellationError()
    }

    /// Written down before it begins, as it may last for days; and again where it was refused.
    ///
    /// Of the program's arguments their number is kept: they may be secrets, or links with somebody's passkey.
    private func execute(_ call: IncomingCall) async throws -> Value {
        let box = try box(call)
        let words = (call.arguments["argv"]?.array ?? []).map { $0.string ?? "" }
        let target = AuditLog.program(words, on: box.mirror.name)
        audit.note("exec", who: caller.name, from: Self.origin, target: target)
        do {
            return try await relay(call, to: box)
        } catch let error as CallsError {
            let outcome = error.problem.code.rawValue
            audit.note("exec", who: caller.name, from: Self.origin, target: target, outcome: outcome)
            throw error
        } catch let problem as Problem {
            audit.note("exec", who: caller.name, from: Self.origin, target: target, outcome: problem.code.rawValue)
            throw problem
        }
    }

    /// Passes a call on to the agent over the warm session, lanes and cancellation included.
    private func relay(_ call: IncomingCall, to box: Box) async throws -> Value {
        let onward = try await opened(call, on: box)
        // Unstructured: whoever calls it off still hears how the program ended there, and what it said until then.
        let passing = Task { try await Self.pass(call, to: onward) }
        return try await withTaskCancellationHandler {
            try await passing.value
        } onCancel: {
            onward.cancel()
        }
    }

    /// A session that has ended takes no call, and so nothing was sent: the next one is waited for. Where none comes, that
    /// is not told by the code of a connection lost under way, by which nobody knows how far the program came.
    private func opened(_ call: IncomingCall, on box: Box) async throws -> OutgoingCall {
        let deadline = ContinuousClock.now + Self.patience(call)
        while true {
            let connection: CallConnection
            do {
                connection = try await box.link.connection(within: max(.zero, deadline - .now))
            } catch let problem as Problem where problem.code == .connectionLost {
                throw Problem(.linkDown, problem.message)
            }
            do {
                return try await connection.open(
                    call.procedure,
                    call.arguments,
                    ending: call.hasEnded(lane: ExecLane.input) ? [ExecLane.input] : []
                )
            } catch  where connection.isOver {
                guard ContinuousClock.now < deadline else { throw Link.notUp }
                try await Task.sleep(for: Self.untilReplaced)
            }
        }
    }

    /// How long the link may take to see that its session has ended.
    private static let untilReplaced = Duration.milliseconds(100)

    private static func pass(_ call: IncomingCall, to onward: OutgoingCall) async throws -> Value {
        try await withThrowingTaskGroup { group in
            group.addTask {
                for await input in call.inputs {
                    switch input {
                    case .data(let lane, let bytes): try await onward.send(bytes, lane: lane)
                    case .end(let lane): try await onward.end(lane: lane)
                    case .event: break
                    }
                }
            }
            for await input in onward.events {
                switch input {
                case .data(let lane, let bytes): try await call.send(bytes, lane: lane)
                case .end(let lane): try await call.end(lane: lane)
                case .event(let value): try await call.emit(value)
                }
            }
            defer { group.cancelAll() }
            return try await onward.result()
        }
    }

    /// How long the caller would wait for the link, in milliseconds of `patience`.
    private static func patience(_ call: IncomingCall) -> Duration {
        let milliseconds = call.arguments["patience"]?.int ?? defaultPatience
        return .milliseconds(max(0, min(milliseconds, longestPatience)))
    }

    private static let defaultPatience: Int64 = 60_000
    private static let longestPatience: Int64 = 86_400_000
}
