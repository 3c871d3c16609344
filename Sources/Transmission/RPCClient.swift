/// Calls Transmission's RPC: session id, account, notation, deadlines and size limits.

package import NIOCore
import NIOHTTP1
package import Notation
import Synchronization

/// Any number of calls may run at once; each has a connection of its own.
package final class RPCClient: Sendable {
    package let configuration: RPCConfiguration
    private let exchange: HTTPExchange
    private let state = Mutex(State())

    private struct State {
        var sessionID = ""
        var dialect = RPCDialect.old
    }

    package init(_ configuration: RPCConfiguration, group: any EventLoopGroup) {
        self.configuration = configuration
        exchange = HTTPExchange(configuration: configuration, group: group)
    }

    /// The daemon's name for its present run; it changes on a restart, and once an hour without one.
    package var sessionID: String { state.withLock { $0.sessionID } }

    package var dialect: RPCDialect { state.withLock { $0.dialect } }

    /// Takes old names for method and arguments; read the answer with `Value.named`.
    ///
    /// - Parameter takeTorrent: gets the items of `torrents` one by one; the answer then holds none. Those of thousands of
    ///   torrents as one value would be many times the answer's size.
    package func call(
        _ method: String,
        _ arguments: [String: Value] = [:],
        eachTorrent takeTorrent: ((Value) -> Void)? = nil
    ) async throws(TransmissionError) -> Value {
        var (reply, dialect) = try await send(method, arguments)
        if reply.status == 409 {
            guard let sessionID = reply.headers.first(name: "X-Transmission-Session-Id"), sessionID.utf8.count <= 256
            else { throw RPCDialect.unintelligible }
            let version = reply.headers.first(name: "X-Transmission-Rpc-Version")
            state.withLock { state in
                state.sessionID = sessionID
                state.dialect = RPCDialect(semanticVersion: version)
            }
            // Once and no more: a daemon that answers 409 to its own session id would have us loop.
            (reply, dialect) = try await send(method, arguments)
        }
        try check(reply)
        let value: Value
        do {
            // 3.00 writes lone surrogates; the rest of its answer is sound.
            value = try reply.body.withUnsafeReadableBytes { bytes in
                guard let takeTorrent else { return try JSON.decode(bytes, lenient: true) }
                return try JSON.decode(bytes, lenient: true, itemsOf: "torrents", takeTorrent)
            }
        } catch {
            throw RPCDialect.unintelligible
        }
        let answer = try dialect.arguments(of: value)
        if method == "session-get", dialect == .old, let version = answer["rpc-version-semver"]?.string {
            state.withLock { $0.dialect = RPCDialect(semanticVersion: version) }
        }
        return answer
    }

    private func send(
        _ method: String,
        _ arguments: [String: Value]
    ) async throws(TransmissionError) -> (HTTPExchange.Reply, RPCDialect) {
        let (sessionID, dialect) = state.withLock { ($0.sessionID, $0.dialect) }
        var headers = [("X-Transmission-Session-Id", sessionID)]
        if let user = configuration.user {
            let account = Array("\(user):\(configuration.password ?? "")".utf8)
            headers.append(("Authorization", "Basic \(Base64.encode(account))"))
        }
        let body = JSON.encode(dialect.request(method, arguments))
        return (try await exchange.post(body, headers: headers) { Change.current?.noteSent(method) }, dialect)
    }

    private func check(_ reply: HTTPExchange.Reply) throws(TransmissionError) {
        switch reply.status {
        case 200: return
        case 401:
            throw TransmissionError(
                .unauthorized,
                configuration.user == nil
                    ? "Transmission demands a user name and password. Put USER:PASSWORD into a file of mode 0600 and name "
                        + "it with rpc-auth-file in agent.conf."
                    : "Transmission refused the user name or password of rpc-auth-file. Compare them with its "
                        + "rpc-username and rpc-password."
            )
        case 403:
            throw TransmissionError(
                .unauthorized,
                "Transmission's rpc-whitelist does not allow \(configuration.host), or it locked out after failed logins."
            )
        case 409:
            throw TransmissionError(.unintelligible, "Transmission refuses the session id that it gave out itself.")
        case 421:
            throw TransmissionError(
                .unauthorized,
                "Transmission's rpc-host-whitelist does not allow \(configuration.host)."
            )
        default:
            throw TransmissionError(
                .unintelligible,
                "What listens at \(configuration.authority) answers with HTTP status \(reply.status), which Transmission "
                    + "does not. Check rpc-url in agent.conf."
            )
        }
    }
}
