/// From the configuration to tor and the links.
import Foundation
import Logging
import NIOCore
import Seedbox
import Tunnel

enum TunnelSetup {
    /// Tor as the configuration wants it: a given SOCKS port, or a child of our own.
    ///
    /// - Parameter isShared: whether the child of a running daemon is used where there is one.
    static func tor(
        _ configuration: Configuration,
        isShared: Bool = false,
        group: any EventLoopGroup,
        logger: Logger
    ) throws -> Tor {
        if let socks = configuration.tor.socks {
            return Tor(
                .given(
                    socks: socks.torAddress,
                    control: configuration.tor.control?.torAddress,
                    credential: try credential(configuration.tor)
                ),
                group: group,
                logger: logger
            )
        }
        let authorizations = configuration.boxes.flatMap { box in
            box.addresses.compactMap { address -> TorChild.ClientAuthorization? in
                guard let file = box.clientAuth, address.hasSuffix(".onion") else { return nil }
                return .init(address: String(address.dropLast(".onion".count)), secretFile: file)
            }
        }
        let child = try TorChild(
            binary: configuration.tor.binary ?? "tor",
            directory: configuration.stateDirectory + "/tor",
            include: configuration.tor.include,
            authorizations: authorizations
        )
        return Tor(isShared ? .shared(child) : .own(child), group: group, logger: logger)
    }

    private static func credential(_ tor: Configuration.Tor) throws -> ControlPort.Credential {
        guard let file = tor.controlPasswordFile else { return .cookie }
        guard let text = try? String(contentsOfFile: file, encoding: .utf8), text.utf8.count <= 1_024 else {
            throw Problem(
                .secretUnreadable,
                "The file of `control-password-file` cannot be read. Correct its path or its permissions."
            )
        }
        return .password(text.trimmingCharacters(in: .newlines))
    }

    static func box(_ box: Configuration.Box, _ configuration: Configuration, epoch: Int64?) -> TunnelConfiguration {
        var tunnel = TunnelConfiguration(
            box: box.name,
            addresses: box.addresses,
            user: box.user,
            keyFile: box.key,
            hostKeys: box.hostKeys,
            software: Farseed.software
        )
        tunnel.port = UInt16(box.port)
        tunnel.epoch = epoch
        let link = configuration.link
        tunnel.compression = link.compression
        tunnel.timing.set(\.pingEvery, link.probeAfter)
        tunnel.timing.set(\.suspectAfter, link.suspectAfter)
        tunnel.timing.set(\.suspectFactor, link.suspectFactor)
        tunnel.timing.set(\.deadAfter, link.deadAfter)
        tunnel.timing.set(\.deadFactor, link.deadFactor)
        tunnel.timing.set(\.retryFirst, link.retryAtLeast)
        tunnel.timing.set(\.retryLast, link.retryAtMost)
        tunnel.timing.set(\.retryFault, link.retryFault)
        tunnel.timing.set(\.spacing, link.spacing)
        tunnel.timing.set(\.hedgeAfter, link.rivalAfter)
        tunnel.timing.set(\.recycleAfter, link.recycleAfter)
        tunnel.timing.set(\.socks, link.connectWithin)
        tunnel.timing.set(\.greeting, link.greetWithin)
        tunnel.timing.standby = link.standby
        return tunnel
    }
}

extension LinkTiming {
    /// Keeps the default where nothing else is wanted.
    fileprivate mutating func set<Number>(_ path: WritableKeyPath<LinkTiming, Number>, _ number: Number?) {
        if let number { self[keyPath: path] = number }
    }
}

extension SocketAddressText {
    fileprivate var torAddress: TorAddress {
        switch self {
        case .tcp(let host, let port): .tcp(host: host, port: port)
        case .unix(let path): .unix(path: path)
        }
    }
}
