/// `farseed serve`: puts the links, the mirrors, the web server and the control socket together and runs them.
import Foundation
import Jobs
import Logging
import NIOCore
import NIOPosix
import Notation
import Seedbox
import ServiceLifecycle
import Store
import Tunnel
import UnixSignals
import Web

/// Serves until it is told to stop by SIGTERM or SIGINT; throws the `Problem` that keeps it from starting.
func serve(_ configuration: Configuration, verbose: Bool) async throws {
    var logger = Logger(label: "farseed")
    logger.logLevel = verbose ? .debug : .info
    let group = MultiThreadedEventLoopGroup.singleton
    // The page's websockets have loops of their own, so that an event to thousands keeps no link waiting. Half as many as
    // cores: half of what sending costs is the kernel's, which does it where it likes.
    let webLoops = MultiThreadedEventLoopGroup(numberOfThreads: max(1, System.coreCount / 2))

    try StateDirectory.prepare(configuration.stateDirectory)
    let lock = try await StateHold.toServe(configuration)
    let ledger = try await Ledger.open(LedgerConfiguration(path: StateDirectory.database(configuration)))
    let started = Int64(Date.now.timeIntervalSince1970 * 1000)
    let epoch = try await ledger.nextEpoch(now: started)

    let owner = try await ledger.accounts.owner(Owner.name, now: started)
    let audit = AuditLog(ledger: ledger, logger: logger)
    let logins = StoredLogins(ledger: ledger, audit: audit)
    let workers = try WorkerCredentials.read(configuration.workers)
    var server = configuration.web.server
    server.metricsToken = try configuration.web.metricsTokenFile.map { try SecretFile.read($0) }
    let realm = Realm(
        group: webLoops,
        logins: logins,
        workers: workers,
        openTopics: configuration.web.openTopics,
        permissions: Realm.permissions(showing: configuration.ingest?.topics ?? []),
        sequentialRequests: configuration.web.demandsSequentialRequests,
        logger: logger
    )
    let publisher = Publisher(realm: realm)
    let tor = try TunnelSetup.tor(configuration, group: group, logger: logger)
    let boxes = configuration.boxes.map { box in
        Box(
            mirror: BoxMirror(name: box.name, epoch: started) { publisher.publish($0, of: box.name, $1) },
            link: Link(
                TunnelSetup.box(box, configuration, epoch: epoch),
                tor: tor,
                group: group,
                logger: logger
            ),
            pace: BoxPace(),
            realm: realm,
            logger: logger
        )
    }
    let mirrors = boxes.map(\.mirror)
    publisher.offer(mirrors)
    let desk = JobDesk(ledger, boxes: boxes, audit: audit, logger: logger)
    let outbox = desk.outbox
    let jobs = JobNews(outbox: outbox, realm: realm, audit: audit)
    try await jobs.offer(mirrors.map(\.name))
    DetailDesk(boxes: boxes).offer(to: realm)

    let web: WebServer
    do {
        web = try WebServer(
            configuration: server,
            group: webLoops,
            realm: realm,
            logins: logins,
            api: MirrorAPI(boxes: boxes, outbox: outbox, started: started),
            logger: logger
        )
    } catch let error as WebError {
        throw error.problem
    }
    let control = try await ControlServer(
        path: configuration.controlSocket,
        members: configuration.control.group,
        grants: configuration.control.grants,
        group: group,
        logger: logger
    ) { caller in
        ControlHandler(boxes: boxes, desk: desk, users: web, caller: caller, audit: audit)
    }
    var services: [any Service] = [audit, tor, outbox, jobs, control, web, Greeting(web: web, owner: owner.name)]
    services += boxes
    if let ingest = configuration.ingest {
        let taken = IngestConfiguration(host: ingest.host, port: ingest.port, topics: ingest.topics)
        services.append(IngestServer(configuration: taken, group: group, realm: realm, logger: logger))
    }
    services.append(CertificateReload(web: web, logger: logger))
    let running = ServiceGroup(services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
    defer {
        // Held until here: one controller a state directory.
        withExtendedLifetime(lock) {}
    }
    do {
        try await running.run()
    } catch let error as WebError {
        throw error.problem
    }
    try ledger.close()
}

/// Prints the page's address with its one-time login once the server listens.
private struct Greeting: Service {
    let web: WebServer
    let owner: String

    func run() async throws {
        let link = try await web.ownerLink(for: Account(name: owner, role: .owner))
        OutputFile.standard.print("Farseed is up. The page, with a login that works once:\n\(link)")
        // A service that returns ends its group.
        try await gracefulShutdown()
    }
}

extension WebError {
    fileprivate var problem: Problem {
        switch code {
        case .certificateInvalid: Problem(.configurationInvalid, message)
        case .listenFailed: Problem(.portInUse, message)
        case .overloaded: Problem(.internalFault, message)
        }
    }
}

/// Reads the certificate again at each SIGHUP, which `systemctl reload` sends.
private struct CertificateReload: Service {
    let web: WebServer
    let logger: Logger

    func run() async throws {
        for await _ in await UnixSignalsSequence(trapping: .sighup).cancelOnGracefulShutdown() {
            do {
                let isThere = try web.reloadCertificate()
                logger.info(isThere ? "The certificate was read again." : "There is no certificate to read again.")
            } catch {
                logger.error(
                    "The certificate cannot be used; the one before stays.",
                    metadata: ["web.error": "\(error)"]
                )
            }
        }
    }
}

/// The account that is there from the first start.
enum Owner {
    static let name = "owner"
}

extension Configuration.Web {
    var server: WebConfiguration {
        var onion: (host: String, port: Int)?
        if case .tcp(let host, let port) = onionListen { onion = (host, port) }
        return WebConfiguration(
            host: host,
            port: port,
            allowedHosts: allowedHosts,
            allowedOrigins: allowedOrigins,
            trustedProxies: trustedProxies,
            tls: certificate.map { .init(certificateFile: $0, keyFile: certificateKey ?? $0) },
            onion: onion,
            servesLegacy: servesLegacy
        )
    }
}
