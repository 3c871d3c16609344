/// Why an attempt failed, how far it had come, and what the link does about it.
import Calls
import SSH
package import Seedbox

package struct DialFailure: Error, Sendable, Hashable {
    package var problem: Problem
    package var remedy: SOCKSReply.Remedy
    /// The stage that failed.
    package var stage: Dialer.Stage

    init(_ problem: Problem, _ remedy: SOCKSReply.Remedy, at stage: Dialer.Stage) {
        self.problem = problem
        self.remedy = remedy
        self.stage = stage
    }

    /// Of tor's answer to the SOCKS request.
    ///
    /// What leads to an onion service has codes of its own, so the general one comes from the service's end of the circuit:
    /// there tor hides why it cannot connect to what it serves (its `hs_service.c` says MISC and never CONNECTREFUSED).
    ///
    /// - Parameters:
    ///   - isTorReady: false where the control port says that tor has not bootstrapped.
    ///   - reason: the control port's word for why the stream failed, where it tells.
    init(_ failure: SOCKSFailure, to address: String, isTorReady: Bool, reason: String? = nil) {
        switch failure {
        case .reply(.connectionRefused):
            self.init(failure.problem, failure.remedy, at: .handshake)
        // A circuit that broke just now is no word of its end.
        case .reply(.generalFailure) where reason != nil && reason != Self.saidByTheEnd && isTorReady:
            self.init(SOCKSReply.hostUnreachable.problem, .newCircuit, at: .circuit)
        case .reply(.generalFailure) where address.hasSuffix(".onion") && isTorReady:
            self.init(SOCKSReply.connectionRefused.problem, SOCKSReply.connectionRefused.remedy, at: .handshake)
        // What is wrong with the port itself; a reply comes from a tor that works.
        case .credentialsRefused, .notSOCKS, .closed, .silent:
            self.init(failure.problem, failure.remedy, at: .socks)
        default: self.init(failure.problem, failure.remedy, at: .circuit)
        }
    }

    private static let saidByTheEnd = "END"

    /// Of an error of SSH or of the calls on it.
    init(_ error: any Error, at stage: Dialer.Stage) {
        switch error {
        case let error as SSHError:
            let (code, remedy, failed) = Self.meaning(error.code, at: stage)
            self.init(Problem(code, error.message), remedy, at: failed)
        case let error as CallsError: self.init(error.problem, .backOff, at: stage)
        case let problem as Problem:
            self.init(problem, Self.remedy(problem.code), at: stage)
        default:
            self.init(
                Problem(.sshFailed, "The SSH connection failed in an unexpected way. It is tried again by itself."),
                .backOff,
                at: stage
            )
        }
    }

    private static func meaning(
        _ code: SSHError.Code,
        at stage: Dialer.Stage
    ) -> (Problem.Code, SOCKSReply.Remedy, Dialer.Stage) {
        switch code {
        case .libraryRefused: (.sshLibraryRefused, .tellOwner, .handshake)
        case .keyUnreadable, .keyInvalid: (.secretUnreadable, .tellOwner, .login)
        case .notSSH, .handshakeFailed: (.sshFailed, .backOff, .handshake)
        case .hostKeyMismatch: (.hostKeyMismatch, .tellOwner, .handshake)
        case .loginRefused: (.loginRefused, .tellOwner, .login)
        case .channelRefused, .execRefused: (.agentFailed, .backOff, .greeting)
        case .timedOut: (.timedOut, .newCircuit, stage)
        case .stalled, .connectionLost, .closed, .channelClosed: (.connectionLost, .newCircuit, stage)
        }
    }

    private static func remedy(_ code: Problem.Code) -> SOCKSReply.Remedy {
        switch code {
        case .agentIncompatible, .controllerOutdated, .agentUnexpected, .notPermitted: .tellOwner
        case .timedOut, .connectionLost: .newCircuit
        default: .backOff
        }
    }
}
