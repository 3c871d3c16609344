/// Hands each call of a connection to what answers it, as far as its role may.

import Calls
import Notation
import Seedbox
import Transmission

struct Dispatcher: CallHandler {
    let core: AgentCore
    let role: Role
    /// Its number among those of the source's audience.
    let connection: Int

    func handle(_ call: IncomingCall) async throws -> Value {
        guard role.permits(call.procedure) else {
            throw Problem(
                .notPermitted,
                "This key has the role \(role.rawValue), which may not call \(Shown.text(call.procedure)). Use a key of the "
                    + "role control."
            )
        }
        switch call.procedure {
        case "watch": return try await Watch(call, core: core, connection: connection).run()
        case "pace": return try pace(call)
        case "status": return try await status()
        case "exec": return try await core.execute(call)
        default:
            guard let verb = Verb(rawValue: call.procedure) else {
                throw Problem(
                    .unknownProcedure,
                    "This agent (\(Software.name)) has no procedure \(Shown.text(call.procedure)). The controller may be "
                        + "newer: deploy the agent that came with it."
                )
            }
            return try await core.perform(verb, try await Upload.arguments(of: call))
        }
    }

    /// `watched`: whether anybody looks at what this connection's watches tell.
    private func pace(_ call: IncomingCall) throws -> Value {
        guard let isLooking = call.arguments["watched"]?.bool else {
            throw Problem(.badRequest, "`watched` must be true or false.")
        }
        core.source.setLooking(isLooking, on: connection)
        core.host.audienceChanged()
        return [:]
    }

    /// Waits for the first answer of a daemon that was never asked yet.
    private func status() async throws -> Value {
        let daemon = try await core.firstDaemonStatus()
        return [
            "software": .string(Software.name),
            "role": .string(role.rawValue),
            "transmission": [
                "state": .string(daemon.state.rawValue),
                "version": .string(core.source.version ?? ""),
                "message": .string(daemon.message),
            ],
        ]
    }
}

extension AgentCore {
    /// What is known of the daemon, waiting for its first answer or failure.
    func firstDaemonStatus() async throws -> DaemonStatus {
        let bell = Wakeup()
        let listener = source.subscribe(bell)
        defer { source.unsubscribe(listener) }
        while true {
            if let daemon = source.daemon { return daemon }
            await bell.wait()
            try Task.checkCancellation()
        }
    }

    /// Runs a program, once for each key. What an earlier run with the same key wrote is not kept.
    func execute(_ call: IncomingCall) async throws -> Value {
        // Whatever it changed in Transmission, `recently-active` may not tell.
        defer { source.mayHaveChanged() }
        guard let key = call.arguments["key"], !key.isNull else {
            return try await programs.run(call)
        }
        return try await journal.once("exec", call.arguments) { [programs] attempt in
            guard !attempt.mayBeDone else {
                throw Problem(
                    .conflict,
                    "The agent was ended while it ran this program, so nobody knows how far it came. Look at the seedbox, "
                        + "and send the command again with a new key if it is still wanted."
                )
            }
            return try await programs.run(call)
        }
    }

    /// Carries a command out, once for each key.
    func perform(_ verb: Verb, _ arguments: Value) async throws -> Value {
        guard verb.changes else { return try await verbs.perform(verb, arguments) }
        defer { source.mutated() }
        return try await journal.once(verb.rawValue, arguments) { [verbs] attempt in
            try await verbs.perform(verb, arguments, attempt: attempt)
        }
    }
}
