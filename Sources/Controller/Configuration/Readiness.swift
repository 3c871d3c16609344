/// What the daemon needs of this machine, looked at before it listens anywhere.
import Glibc
import NIOCore
import SSH
import Seedbox
import Store
import Web

/// Each answer is what is wrong; nil where nothing is.
struct Readiness: Sendable {
    var group: @Sendable (_ name: String) -> Problem?
    var secret: @Sendable (_ path: String) -> Problem?
    var loginKey: @Sendable (_ path: String) -> Problem?
    var certificate: @Sendable (WebConfiguration.TLS) -> WebConfiguration.TLS.Faults
    /// Whether a daemon has this control socket: what it listens on is taken, and rightly so.
    var isServed: @Sendable (_ controlSocket: String) -> Bool
    var listening: @Sendable (_ host: String, _ port: Int) -> Problem?

    static let ofThisMachine = Readiness(
        group: { name in
            LocalAccount("@" + name) == nil
                ? Problem(.configurationInvalid, "this machine has no group \"\(visible(name))\".") : nil
        },
        secret: { path in
            do throws(Problem) { _ = try SecretFile.read(path) } catch { return error }
            return nil
        },
        loginKey: { path in
            do throws(SSHError) { _ = try PrivateKey(path: path) } catch {
                return Problem(.secretUnreadable, error.message)
            }
            return nil
        },
        certificate: { $0.faults },
        isServed: isServed,
        listening: listening
    )

    @Sendable private static func isServed(_ controlSocket: String) -> Bool {
        guard let address = try? SocketAddress(unixDomainSocketPath: controlSocket) else { return false }
        // Does not wait: one whose queue is full listens as well.
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | nonBlocking | closeOnExec, 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        let failure = address.withSockAddr { connect(descriptor, $0, socklen_t($1)) == 0 ? 0 : errno }
        return [0, EAGAIN, EACCES, EPERM].contains(failure)
    }

    /// Takes the address as the daemon would and gives it back: nobody ever finds it listening.
    @Sendable private static func listening(_ host: String, _ port: Int) -> Problem? {
        guard let address = try? SocketAddress.makeAddressResolvingHost(host, port: port) else {
            return Problem(
                .configurationInvalid,
                "no address is known for the name \"\(visible(host))\": write a numeric one, as \"127.0.0.1:8080\"."
            )
        }
        let family = address.protocol == .inet6 ? AF_INET6 : AF_INET
        let descriptor = socket(family, Int32(SOCK_STREAM.rawValue) | closeOnExec, 0)
        guard descriptor >= 0 else { return refusal(host, port, errno) }
        defer { close(descriptor) }
        // As servers do: connections that are over only lately do not count.
        var reuse: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &reuse, socklen_t(MemoryLayout.size(ofValue: reuse)))
        let failure = address.withSockAddr { bind(descriptor, $0, socklen_t($1)) == 0 ? 0 : errno }
        return failure == 0 ? nil : refusal(host, port, failure)
    }

    private static let nonBlocking = Int32(SOCK_NONBLOCK.rawValue)
    private static let closeOnExec = Int32(SOCK_CLOEXEC.rawValue)

    private static func refusal(_ host: String, _ port: Int, _ failure: Int32) -> Problem {
        switch failure {
        case EADDRINUSE:
            Problem(
                .portInUse,
                "another program listens on \(host) port \(port): choose another port, or stop that program, which "
                    + "`ss -ltnp` names."
            )
        case EADDRNOTAVAIL, EAFNOSUPPORT:
            Problem(
                .configurationInvalid,
                "this machine has no address \(host): write one of its own, or \"127.0.0.1\"."
            )
        case EACCES, EPERM:
            Problem(
                .configurationInvalid,
                "this user may not listen on port \(port): take one above 1023, and a reverse proxy before it."
            )
        default:
            Problem(.configurationInvalid, "\(host) port \(port) cannot be listened on: \(systemReason(failure)).")
        }
    }
}
