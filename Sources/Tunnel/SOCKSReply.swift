/// What tor's answer to a SOCKS request means, and what to do about it.
package import Seedbox

/// A SOCKS5 reply that is not success: RFC 1928, section 6, and tor's `ExtendedErrors` (tor's socks-extensions.txt).
package enum SOCKSReply: UInt8, Sendable, CaseIterable {
    case generalFailure = 0x01
    case notAllowed = 0x02
    case networkUnreachable = 0x03
    case hostUnreachable = 0x04
    case connectionRefused = 0x05
    case ttlExpired = 0x06
    case commandNotSupported = 0x07
    case addressTypeNotSupported = 0x08
    /// The descriptor cannot be found: nobody serves this address, or not yet.
    case descriptorNotFound = 0xF0
    case descriptorInvalid = 0xF1
    case introductionFailed = 0xF2
    case rendezvousFailed = 0xF3
    case authorizationMissing = 0xF4
    case authorizationWrong = 0xF5
    case badAddress = 0xF6
    case introductionTimedOut = 0xF7

    /// What the link does next.
    package enum Remedy: Sendable, Hashable {
        /// Another circuit may do better: new credentials, at once.
        case newCircuit
        /// Wait, then try with new credentials.
        case backOff
        /// Only the owner can mend it: tell, and try seldom.
        case tellOwner
    }

    package var remedy: Remedy {
        switch self {
        case .introductionFailed, .rendezvousFailed, .introductionTimedOut: .newCircuit
        case .generalFailure, .networkUnreachable, .hostUnreachable, .connectionRefused, .ttlExpired,
            .descriptorNotFound, .descriptorInvalid:
            .backOff
        case .notAllowed, .commandNotSupported, .addressTypeNotSupported, .authorizationMissing, .authorizationWrong,
            .badAddress:
            .tellOwner
        }
    }

    package var problem: Problem {
        switch self {
        case .generalFailure:
            Problem(
                .torNotReady,
                "Tor could not make a circuit to the seedbox. It may still be bootstrapping or have no network; "
                    + "this is tried again by itself."
            )
        case .notAllowed:
            Problem(
                .torPolicy,
                "Tor's own rules refuse the connection (SafeSocks, OnionTrafficOnly or an exit policy). "
                    + "Use an onion address, or allow it in the torrc."
            )
        case .networkUnreachable, .hostUnreachable, .ttlExpired:
            Problem(
                .hostUnreachable,
                "Tor cannot reach the seedbox: the circuit ended before it. Check that the VPS is up; "
                    + "this is tried again by itself."
            )
        case .connectionRefused:
            Problem(
                .connectionRefused,
                "The seedbox refuses the connection: its tor answers, but nothing listens on the SSH port. "
                    + "Start sshd on the VPS, or correct `port`."
            )
        case .commandNotSupported, .addressTypeNotSupported:
            Problem(
                .socksInvalid,
                "What listens at the SOCKS address does not do what is asked of it, so it is probably not tor. "
                    + "Correct `socks` in the configuration."
            )
        case .descriptorNotFound:
            Problem(
                .onionNotFound,
                "No onion service answers at the seedbox's address: its descriptor cannot be found. "
                    + "Compare `address` with the hostname file on the VPS, and see that tor runs there."
            )
        case .descriptorInvalid:
            Problem(
                .onionNotFound,
                "The descriptor of the seedbox's onion service cannot be read by this tor. "
                    + "Update tor on both sides, and check the clock of the VPS."
            )
        case .introductionFailed, .introductionTimedOut:
            Problem(
                .onionUnreachable,
                "The seedbox's onion service is known but does not answer: the introduction failed. "
                    + "The VPS may be down or just restarting; this is tried again by itself."
            )
        case .rendezvousFailed:
            Problem(
                .onionUnreachable,
                "The seedbox's onion service was asked but the circuits did not meet. This is tried again by itself."
            )
        case .authorizationMissing:
            Problem(
                .onionAuthorizationMissing,
                "The onion service demands client authorization and this tor has no key for it. "
                    + "Set `client-auth`, or put the .auth_private file into tor's ClientOnionAuthDir."
            )
        case .authorizationWrong:
            Problem(
                .onionAuthorizationWrong,
                "The onion service refuses this tor's client authorization key. "
                    + "Add its public half to authorized_clients on the VPS, or correct `client-auth`."
            )
        case .badAddress:
            Problem(
                .onionAddressInvalid,
                "The seedbox's onion address is not valid: 56 letters and digits with a checksum, then .onion. "
                    + "Copy it again from the hostname file on the VPS."
            )
        }
    }
}

/// Why a SOCKS request got no connection.
package enum SOCKSFailure: Error, Sendable, Hashable {
    /// Tor answered, and why not.
    case reply(SOCKSReply)
    /// A reply of a number that means nothing to us.
    case unknownReply(UInt8)
    /// The username and password method is not offered, or they were refused.
    case credentialsRefused
    /// What answers does not speak SOCKS5.
    case notSOCKS
    /// It closed the connection in the middle of the dialogue.
    case closed
    /// It takes connections and does not say what a SOCKS port says at once.
    case silent
    /// The request was not answered in time.
    case noCircuit

    package var remedy: SOCKSReply.Remedy {
        switch self {
        case .reply(let reply): reply.remedy
        case .unknownReply, .closed, .silent: .backOff
        case .noCircuit: .newCircuit
        case .credentialsRefused, .notSOCKS: .tellOwner
        }
    }

    package var problem: Problem {
        switch self {
        case .reply(let reply): reply.problem
        case .unknownReply(let number):
            Problem(
                .torFailed,
                "Tor answered with SOCKS code \(number), which this version does not know. Look into tor's log."
            )
        case .credentialsRefused:
            Problem(
                .socksRefused,
                "What listens at the SOCKS address refuses the name and password that keep circuits apart. "
                    + "Tor never does: correct `socks` in the configuration so that it names tor's own port."
            )
        case .notSOCKS:
            Problem(
                .socksInvalid,
                "What listens at the SOCKS address does not speak SOCKS5. Correct `socks` in the configuration."
            )
        case .closed:
            Problem(
                .torFailed,
                "Tor closed the SOCKS connection without an answer. It may be restarting; this is tried again by itself."
            )
        case .silent:
            Problem(
                .socksUnreachable,
                "What listens at the SOCKS address takes connections but says nothing. Restart tor if it hangs, or "
                    + "correct `socks` in the configuration."
            )
        case .noCircuit:
            Problem(
                .timedOut,
                "Tor found no circuit to the seedbox in time. It may be slow or the VPS may be down; this is tried again "
                    + "by itself."
            )
        }
    }
}
