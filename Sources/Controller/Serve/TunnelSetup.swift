/// From the configuration to tor and the links.
import Foundation
import Logging
import NIOCore
import Seedbox
import Tunnel

enum TunnelSetup {
    /// Tor as the configuration wants it: a given SOCKS port, or a child of our own.
    static func tor(_ configuration: Configuration, group: any EventLoopGroup, logger: Logger) throws -> Tor {
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
        return Tor(.own(child), group: group, logger: logger)
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
        if let probeAfter = link.probeAfter { tunnel.timing.pingEvery = probeAfter }
        if let suspectAfter = link.suspectAfter { tunnel.timing.suspectAfter = suspectAfter }
        if let deadAfter = link.deadAfter { tunnel.timing.deadAfter = deadAfter }
        if let retryAtMost = link.retryAtMost { tunnel.timing.retryLast = retryAtMost }
        tunnel.timing.standby = link.standby
        if let recycleAfter = link.recycleAfter { tunnel.timing.recycleAfter = recycleAfter }
        if let connectWithin = link.connectWithin { tunnel.timing.socks = connectWithin }
        return tunnel
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
