/// The web server: the page, the HTTP answers and the websockets of the realm, on one port.
import Crypto
import Hummingbird
import HummingbirdCore
package import Logging
package import NIOCore
import NIOPosix
import ServiceLifecycle
import Synchronization

package final class WebServer: Service {
    private static let expireEvery = Duration.seconds(30)

    package let realm: Realm
    package let logins: any LoginKeeper
    private let configuration: WebConfiguration
    private let group: any EventLoopGroup
    private let tls: TLSFiles?
    private let api: any WebAPI
    private let logger: Logger
    private let bound: EventLoopPromise<SocketAddress>
    private let hasRun = Mutex(false)

    /// - Parameter realm: made with the same event loop group.
    /// - Throws: `WebError` where the certificate cannot be used.
    package init(
        configuration: WebConfiguration,
        group: any EventLoopGroup,
        realm: Realm,
        logins: any LoginKeeper,
        api: any WebAPI,
        logger: Logger
    ) throws {
        self.configuration = configuration
        self.group = group
        self.realm = realm
        self.logins = logins
        self.api = api
        self.logger = logger
        tls = try configuration.tls.map(TLSFiles.init)
        bound = group.any().makePromise(of: SocketAddress.self)
    }

    deinit {
        // Whoever has run it has settled that; its loops may be gone by now.
        if !hasRun.withLock(\.self) { bound.fail(CancellationError()) }
    }

    /// Where it listens, once it does; throws what `run` throws where it cannot.
    package var boundAddress: SocketAddress {
        get async throws { try await bound.futureResult.get() }
    }

    /// The page's address for a browser on this machine, with a one-time login for the owner.
    package func ownerLink(for account: Account) async throws -> String {
        let page = try await pageAddress
        return "\(page)/#login=\(try await logins.makeLink(for: account))"
    }

    /// The page's address for a browser on this machine, once it listens.
    package var pageAddress: String {
        get async throws { configuration.pageAddress(port: try await boundAddress.port ?? configuration.port) }
    }

    /// Reads the certificate and key again; new connections use them. False where there is none.
    package func reloadCertificate() throws -> Bool {
        try tls?.reload()
        return tls != nil
    }

    /// Serves until cancelled or asked to stop.
    package func run() async throws {
        hasRun.withLock { $0 = true }
        let throttle = LoginThrottle(limit: configuration.limits.failedLogins)
        do {
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                tasks.addTask { [self] in
                    try await withGracefulShutdownHandler {
                        try await withThrowingTaskGroup(of: Void.self) { doors in
                            doors.addTask { try await self.serve(self.configuration, tls: self.tls, throttle) }
                            if let onion = self.configuration.forOnion {
                                doors.addTask { try await self.serve(onion, tls: nil, isOnion: true, throttle) }
                            }
                            try await doors.waitForAll()
                        }
                    } onGracefulShutdown: { [realm] in
                        realm.shutDown()
                    }
                }
                tasks.addTask { [self] in
                    do { try await expireLogins() } catch is CancellationError {}
                }
                try await tasks.next()
                tasks.cancelAll()
            }
            await realm.closeSockets()
        } catch {
            await realm.closeSockets()
            bound.fail(error)
            throw error
        }
        bound.fail(CancellationError())
    }

    /// Serves on one address until cancelled or asked to stop.
    private func serve(
        _ configuration: WebConfiguration,
        tls: TLSFiles?,
        isOnion: Bool = false,
        _ throttle: LoginThrottle
    ) async throws {
        let securityFields = SecurityFields.all(isTLS: tls != nil)
        let rules = WebChannel.Rules(
            admission: Admission(configuration),
            limits: configuration.limits,
            census: realm.census,
            tls: tls,
            isOnion: isOnion,
            sockets: configuration.sockets,
            securityFields: securityFields,
            makeUser: { [realm] opening, loop in realm.makeSocket(opening, on: loop) }
        )
        let application = Application(
            responder: makeRoutes(configuration, securityFields, throttle),
            server: HTTPServerBuilder { responder in WebChannel(responder: responder, rules: rules) },
            configuration: ApplicationConfiguration(
                address: .hostname(configuration.host, port: configuration.port),
                backlog: 1_024
            ),
            onServerRunning: { [bound] channel in
                guard !isOnion else { return }
                if let address = channel.localAddress { bound.succeed(address) } else { bound.fail(ChannelError.eof) }
            },
            eventLoopGroupProvider: .shared(group),
            logger: quietLogger
        )
        do { try await application.run() } catch { throw Self.explained(error, configuration) }
    }

    private func makeRoutes(
        _ configuration: WebConfiguration,
        _ securityFields: [(name: String, value: String)],
        _ throttle: LoginThrottle
    ) -> Routes {
        Routes(
            admission: Admission(configuration),
            limits: configuration.limits,
            securityFields: securityFields,
            files: PageFiles(),
            metricsToken: configuration.metricsToken.map { SHA256.hash(data: Array($0.utf8)) },
            sockets: configuration.sockets,
            api: api,
            logins: logins,
            throttle: throttle,
            census: realm.census,
            loggedOut: { [realm] ids in realm.end(ids) },
            logger: logger
        )
    }

    private func expireLogins() async throws {
        while true {
            try await Task.sleep(for: Self.expireEvery)
            do {
                realm.end(try await logins.expire())
            } catch let error as CancellationError {
                throw error
            } catch {
                logger.error("Expired logins could not be ended.", metadata: ["web.error": "\(type(of: error))"])
            }
        }
    }

    /// The HTTP library tells more than an operator wants to read.
    private var quietLogger: Logger {
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .warning)
        return quiet
    }

    private static func explained(_ error: any Error, _ configuration: WebConfiguration) -> any Error {
        guard let error = error as? IOError else { return error }
        return WebError(
            .listenFailed,
            "Cannot listen on \(configuration.host) port \(configuration.port): \(error). "
                + "Another program may use it; choose another port, or stop that program.",
            cause: error
        )
    }
}
