// What a problem means for the job that met it: the one table that decides on another attempt.

package import Seedbox

package enum JobVerdict: Sendable, Hashable {
    /// Another attempt would end the same: the job has failed.
    case ends
    /// It never left: it goes out once the link is live.
    case notSent
    /// The agent has it and did nothing: it is tried again after a pause.
    case notDone
    /// The link broke under it: whether it was executed is found out once the link is live.
    case lost
    /// The agent cannot say yet whether it was executed: it is asked again after a pause.
    case unsettled

    /// Whether the job may have been executed, so that it can no longer be cancelled or expire.
    var mayHaveHappened: Bool {
        switch self {
        case .lost, .unsettled: true
        case .ends, .notSent, .notDone: false
        }
    }

    /// Whether no other job of this box need try before the link is live again.
    var linkIsDown: Bool {
        switch self {
        case .notSent, .lost: true
        case .ends, .notDone, .unsettled: false
        }
    }
}

extension Problem.Code {
    package var jobVerdict: JobVerdict {
        switch self {
        case .badRequest, .notPermitted, .unknownProcedure, .notFound, .ambiguous, .duplicate, .conflict, .refused,
            .tooLarge, .internalFault, .transmissionRefused, .programMissing:
            .ends
        // All of these come before the call is written.
        case .configurationInvalid, .secretUnreadable, .sshLibraryRefused, .controllerAbsent, .portInUse, .linkDown,
            .torMissing, .torFailed, .torNotReady, .socksUnreachable, .socksRefused, .socksInvalid, .torPolicy,
            .onionNotFound, .onionAddressInvalid, .onionUnreachable, .onionAuthorizationMissing,
            .onionAuthorizationWrong, .hostUnreachable, .connectionRefused, .hostKeyMismatch, .loginRefused,
            .agentMissing, .agentIncompatible, .controllerOutdated:
            .notSent
        // Nobody listens there, or it wants a password: nothing was asked of the daemon.
        case .transmissionDown, .transmissionUnauthorized: .notDone
        case .connectionLost, .sshFailed, .agentUnexpected, .agentFailed: .lost
        case .timedOut, .cancelled, .transmissionBusy: .unsettled
        }
    }
}
