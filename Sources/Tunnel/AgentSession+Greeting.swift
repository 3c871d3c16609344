/// The agent's greeting, or the reason why there is none.
import Calls
import SSH
import Seedbox

extension AgentSession {
    /// Exit status of a shell that finds no such program, or may not run it.
    private static let notFound: Int32 = 127
    private static let notExecutable: Int32 = 126

    /// Waits for the agent's greeting. Throws a `DialFailure`, or that it was cancelled; either ends the session.
    package func greeted(within patience: Duration) async throws {
        let timeout = Problem(
            .timedOut,
            "The agent did not greet in time. The VPS may be overloaded; this is tried again by itself."
        )
        do {
            hello = try await Calls.within(patience, orThrow: timeout) { [connection] in
                try await connection.peerHello()
            }
        } catch {
            let failure = await explained(error)
            await end()
            try Task.checkCancellation()
            throw failure
        }
    }

    /// Why there is no greeting: what the shell or the gate said, and how the command ended.
    private func explained(_ error: any Error) async -> DialFailure {
        guard let error = error as? CallsError, error.code != .violated else {
            return DialFailure(error, at: .greeting)
        }
        // A command that has ended may first be noticed by who writes to it, while the reader still reads.
        let isLost = error.code == .lost
        let end = isLost ? await ended() : nil
        let exit = try? await within(.seconds(5), orThrow: CancellationError()) { [stream, channel] in
            while !isLost, try await stream.read() != nil {}
            return try await channel.exit()
        }
        if isLost, exit == nil { return end ?? DialFailure(error, at: .greeting) }
        let said = neutralised(error.received + stream.complaint)
        let words = said.isEmpty ? "" : " The VPS said: \(said.hasSuffix(".") ? said : said + ".")"
        if case .status(let status)? = exit, status == Self.notFound || status == Self.notExecutable {
            return DialFailure(
                Problem(
                    .agentMissing,
                    "The login works, but the forced command does not start the agent: it is missing or not "
                        + "executable on the VPS, or the key is not bound to it.\(words) Install farseed-agent there and "
                        + "check the line in authorized_keys."
                ),
                .tellOwner,
                at: .greeting
            )
        }
        if error.code == .notFarseed {
            return DialFailure(
                Problem(
                    .agentUnexpected,
                    "Something else than the agent answers on the VPS.\(words) Bind the key to farseed-agent in "
                        + "authorized_keys, and let the login shell print nothing."
                ),
                .tellOwner,
                at: .greeting
            )
        }
        return DialFailure(
            Problem(
                .agentFailed,
                "The agent on the VPS ended before its greeting.\(words) Run `farseed-agent check` there."
            ),
            .backOff,
            at: .greeting
        )
    }
}
