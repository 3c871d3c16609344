/// The router's shell: feeds it what happens and carries out its actions, on one event loop.
import Logging
import NIOCore
import Notation
import WAMP

final class RealmCore {
    private typealias Table = NIOLoopBoundBox<RealmLoop>

    /// A websocket as the router's loop sees it.
    private struct Seat {
        var session: SessionID?
        var opening: SocketOpening
        var dialect: Dialect
        var table: NIOLoopBoundBox<RealmLoop>
        var login: Login?
        /// Whom the census counts it for, from WELCOME on.
        var user: String?
    }

    private let loop: any EventLoop
    private let tables: [NIOLoopBoundBox<RealmLoop>]
    private let census: Census
    private let logins: any LoginKeeper
    private let workers: Workers
    private let guests: GuestScopes
    private let logger: Logger

    private var permissions: PermissionTable
    private var router: Router
    private var seats: [Int: Seat] = [:]
    private var numbers: [SessionID: Int] = [:]
    private var timers: [RouterTimer: Scheduled<Void>] = [:]
    private var procedures: [String: @Sendable (RealmCall) async throws -> Value] = [:]
    private var calls: [InvocationID: Task<Void, Never>] = [:]
    /// Actions not carried out yet; carrying out one may add more, which come after those already there.
    private var actions: [RouterAction] = []
    private var isPerforming = false

    /// Told of topics whose first subscriber came or last one left.
    var onWatch: (String, Bool) -> Void = { _, _ in }

    init(
        loop: any EventLoop,
        limits: WebConfiguration.Limits,
        tables: [NIOLoopBoundBox<RealmLoop>],
        census: Census,
        logins: any LoginKeeper,
        workers: Workers,
        guests: GuestScopes,
        permissions: PermissionTable,
        sequentialRequests: Bool,
        logger: Logger
    ) {
        self.loop = loop
        self.tables = tables
        self.census = census
        self.logins = logins
        self.workers = workers
        self.guests = guests
        self.logger = logger
        var configuration = RouterConfiguration()
        configuration.sequentialRequests = sequentialRequests
        configuration.handshakeLimit = limits.welcomeWithin
        // Logging out ends sockets within a second, whatever their client does.
        configuration.goodbyeLimit = 500
        configuration.mostSubscriptions = limits.subscriptions
        configuration.methods.formUnion(workers.methods)
        self.permissions = workers.granted(permissions)
        router = Router(configuration, permissions: self.permissions, cryptography: SwiftCrypto())
    }

    // MARK: From inside

    func publish(_ topic: String, _ payload: Payload) { perform(router.publish(topic, payload, at: .now)) }
    func declare(_ policy: TopicPolicy) { perform(router.declare(policy, at: .now)) }
    func withdraw(_ pattern: URIPattern) { perform(router.withdraw(pattern, at: .now)) }
    func shutDown() { perform(router.shutDown(at: .now)) }

    func register(_ procedure: String, _ match: Match, _ body: @escaping @Sendable (RealmCall) async throws -> Value) {
        procedures[procedure] = body
        perform(router.register(procedure, match: match, at: .now))
    }

    func end(_ logins: Set<String>) {
        let sessions = seats.values.filter { $0.login.map { logins.contains($0.id) } ?? false }.compactMap(\.session)
        perform(router.kill(sessions, reason: "farseed.close.logged_out", message: "You logged out.", at: .now))
    }

    // MARK: From websockets

    func opened(_ number: Int, _ opening: SocketOpening, _ dialect: Dialect, _ table: NIOLoopBoundBox<RealmLoop>) {
        let transport: [String: Value] = ["type": "websocket", "protocol": .string(opening.subprotocol)]
        let (session, actions) = router.connected(transport: transport, at: .now)
        seats[number] = Seat(session: session, opening: opening, dialect: dialect, table: table)
        numbers[session] = number
        perform(actions)
        if dialect.isLegacy { onLoop(of: session) { $0.legacyOpened(as: session) } }
    }

    func received(_ message: Result<Message, Violation>, _ number: Int) {
        guard let session = seats[number]?.session else { return }
        switch message {
        case .success(let message):
            let principal = router.principal(of: session)
            let actions = router.received(message, from: session, at: .now)
            // What anybody tries, who may come again and again, fills no log.
            if let principal, !principal.isAnonymous, let client = seats[number]?.opening.client {
                for event in events(of: message, principal, client, actions) { logins.note(event) }
            }
            perform(actions)
        case .failure(let violation): perform(router.violated(session, violation, at: .now))
        }
    }

    func closed(_ number: Int) {
        guard let seat = seats.removeValue(forKey: number) else { return }
        if let user = seat.user { census.socketClosed(user) } else { census.greetingEnded() }
        guard let session = seat.session else { return }
        numbers[session] = nil
        perform(router.disconnected(session, at: .now))
    }

    /// What of a message and what came of it is to be written down.
    private func events(
        of message: Message,
        _ principal: Principal,
        _ client: String,
        _ actions: [RouterAction]
    ) -> [DoorEvent] {
        let (action, name): (String, String)
        switch message {
        case .call(_, _, let procedure, _): (action, name) = ("call", procedure)
        case .subscribe(_, _, let topic): (action, name) = ("subscribe", topic)
        case .register(_, _, let procedure): (action, name) = ("register", procedure)
        case .publish(_, _, let topic, _): (action, name) = ("publish", topic)
        default: return []
        }
        let who = principal.worker.map { "worker.\($0)" } ?? principal.authid
        // Who publishes without asking for an answer gets none, and so no error either.
        let isSilent = action == "publish" && !permissions.allows(.publish, URIPattern(name), role: principal.role)
        if isSilent || actions.contains(where: \.isNotAuthorized) {
            // Of a message that may be large, and is written down.
            return [.notPermitted(who: who, client: client, action: action, name: String(name.prefix(256)))]
        }
        guard action == "call", name.hasPrefix("wamp.session.kill") else { return [] }
        let users = actions.compactMap { $0.dismissed.flatMap { numbers[$0] }.flatMap { seats[$0]?.user } }
        return users.isEmpty ? [] : [.sessionsKilled(who: who, client: client, users: users)]
    }

    // MARK: Actions

    private func perform(_ new: [RouterAction]) {
        actions += new
        guard !isPerforming else { return }
        isPerforming = true
        var next = 0
        while next < actions.count {
            perform(actions[next])
            next += 1
        }
        actions.removeAll(keepingCapacity: actions.count < 1_024)
        isPerforming = false
    }

    private func perform(_ action: RouterAction) {
        switch action {
        case .send(let session, let message):
            // Its messages may be larger before it can know that they may.
            if case .welcome = message { onLoop(of: session) { $0.welcomed() } }
            onLoop(of: session) { $0.send(message) }
        case .join(let session, let subscription):
            onTable(of: session) { table, number in table.join(number, subscription) }
        case .leave(let session, let subscription):
            onTable(of: session) { table, number in table.leave(number, subscription) }
        case .deliver(let delivery): deliver(delivery)
        case .sendRetained(let session, let topic, let subscription, let publication, let details):
            onLoop(of: session) { socket in
                socket.sendState(topic: topic, subscription: subscription, publication: publication, details: details)
            }
        case .watched(let topic): onWatch(topic, true)
        case .unwatched(let topic): onWatch(topic, false)
        case .close(let session):
            onLoop(of: session) { $0.socket?.close(.normal) }
            if let number = numbers.removeValue(forKey: session) { seats[number]?.session = nil }
        case .authenticate(let session, let greeting): authenticate(session, greeting)
        case .checkTicket(let session, let ticket, let name): check(ticket, of: name, session)
        case .opened(let session, let principal):
            logger.debug("A session began.", metadata: ["wamp.role": "\(principal.role)"])
            onLoop(of: session) { $0.welcomed() }
            count(session, principal)
        case .denied(let session, let method, let name): denied(session, method, name)
        case .invoke(let invocation, let call): invoke(invocation, call)
        case .interrupt(let invocation): calls.removeValue(forKey: invocation)?.cancel()
        case .setTimer(let timer, let milliseconds):
            timers[timer]?.cancel()
            timers[timer] = loop.assumeIsolated().scheduleTask(in: .milliseconds(milliseconds)) { [weak self] in
                guard let self else { return }
                timers[timer] = nil
                perform(router.timerFired(timer, at: .now))
            }
        case .cancelTimer(let timer): timers.removeValue(forKey: timer)?.cancel()
        }
    }

    private func deliver(_ delivery: Delivery) {
        guard case .event(_, _, let details, _) = delivery.message else { return }
        let frame = SharedFrame(delivery.message, census: census)
        let event = RealmLoop.Event(
            topic: delivery.topic,
            subscription: delivery.subscription,
            details: details,
            isConflatable: delivery.isConflatable
        )
        switch delivery.recipients {
        case .subscribers(let except):
            let number = except.flatMap { numbers[$0] }
            for table in tables {
                table.eventLoop.execute { table.value.deliver(frame, event, except: number) }
            }
        case .sessions(let sessions):
            var byTable: [ObjectIdentifier: (table: NIOLoopBoundBox<RealmLoop>, numbers: [Int])] = [:]
            for session in sessions {
                guard let number = numbers[session], let table = seats[number]?.table else { continue }
                byTable[ObjectIdentifier(table), default: (table, [])].numbers.append(number)
            }
            for (table, numbers) in byTable.values {
                table.eventLoop.execute { table.value.deliver(frame, event, to: numbers) }
            }
        }
    }

    private func onTable(of session: SessionID, _ body: @escaping @Sendable (RealmLoop, Int) -> Void) {
        guard let number = numbers[session], let table = seats[number]?.table else { return }
        table.eventLoop.execute { body(table.value, number) }
    }

    private func onLoop(of session: SessionID, _ body: @escaping @Sendable (RealmSocket) -> Void) {
        onTable(of: session) { table, number in
            if let socket = table[number] { body(socket) }
        }
    }

    // MARK: Who it is

    private func authenticate(_ session: SessionID, _ greeting: Greeting) {
        let method = greeting.methods.first ?? .ticket
        let credential = method == .ticket ? .ticket : workers.credential(of: greeting.authid ?? "", by: method)
        perform(router.resolved(session, credential, at: .now))
    }

    /// A worker has no login that was counted before its WELCOME.
    private func count(_ session: SessionID, _ principal: Principal) {
        guard let number = numbers[session], let seat = seats[number], seat.user == nil else { return }
        guard census.welcomed(principal.countedAs) else {
            let message = "Too many sessions without a login of their own. End one."
            perform(router.kill([session], reason: WAMPReason.overLimit, message: message, at: .now))
            return
        }
        seats[number]?.user = principal.countedAs
        if let name = principal.worker { logins.note(.workerEntered(name: name, client: seat.opening.client)) }
    }

    private func denied(_ session: SessionID, _ method: AuthMethod, _ name: String?) {
        guard let number = numbers[session], let client = seats[number]?.opening.client else { return }
        let details: Logger.Metadata = ["web.client": "\(client)", "wamp.method": "\(method.rawValue)"]
        logger.notice("A worker was refused.", metadata: details)
        // Only names that are known: people type secrets into the wrong field.
        logins.note(.workerRefused(name: name.flatMap { workers.contains($0) ? $0 : nil }, client: client))
    }

    /// A client of WAMP v1 shows its ticket.
    func knocked(_ number: Int, _ user: String, _ ticket: String) {
        if let session = seats[number]?.session { check(ticket, of: user, session) }
    }

    private func check(_ ticket: String, of name: String?, _ session: SessionID) {
        guard let number = numbers[session], let seat = seats[number] else { return }
        let core = NIOLoopBound(self, eventLoop: loop)
        let (loop, logins, opening) = (loop, logins, seat.opening)
        // Unstructured, since the router's loop has no task; it ends with the look-up.
        Task {
            let login = try? await logins.redeem(
                ticket: ticket,
                user: name ?? "",
                origin: opening.origin,
                client: opening.client
            )
            loop.execute { core.value.checked(session, login) }
        }
    }

    private func checked(_ session: SessionID, _ login: Login?) {
        guard let number = numbers[session], let seat = seats[number] else { return }
        guard let login, seat.login == nil, census.welcomed(login.account.name) else {
            logger.notice("A ticket was refused.", metadata: ["web.client": "\(seat.opening.client)"])
            admit(nil, session, seat.dialect)
            return
        }
        seats[number]?.login = login
        seats[number]?.user = login.account.name
        let principal = Principal(
            authid: login.account.name,
            role: role(of: login.account),
            method: AuthMethod.ticket.rawValue,
            provider: "farseed"
        )
        admit(principal, session, seat.dialect)
    }

    private func admit(_ principal: Principal?, _ session: SessionID, _ dialect: Dialect) {
        guard dialect.isLegacy else {
            perform(router.ticketChecked(session, principal, at: .now))
            return
        }
        guard let principal else {
            onLoop(of: session) { $0.legacyRefused() }
            return
        }
        perform(router.entered(session, principal, at: .now))
        onLoop(of: session) { $0.legacyAdmitted() }
    }

    /// Guests have a role for each set of labels, which may look at what has one of these and at nothing else.
    private func role(of account: Account) -> String {
        guard account.role == .guest else { return account.role.rawValue }
        let scope = GuestScopes.name(of: account.labels)
        let role = "\(account.role.rawValue).\(scope)"
        if guests.enter(scope, account.labels) {
            permissions.roles[role] = [
                Permission(URIPattern("farseed..torrents.\(scope)", .wildcard), [.subscribe]),
                Permission(URIPattern("farseed.link.", .prefix), [.subscribe]),
                Permission(URIPattern("farseed.boxes"), [.call]),
                Permission(URIPattern("farseed..sync", .wildcard), [.call]),
            ]
            perform(router.setPermissions(permissions, at: .now))
        }
        return role
    }

    // MARK: Procedures

    private func invoke(_ invocation: InvocationID, _ call: InternalCall) {
        guard let body = procedures[call.registered] else {
            perform(router.failed(invocation, "wamp.error.no_such_procedure", at: .now))
            return
        }
        let core = NIOLoopBound(self, eventLoop: loop)
        let (loop, logger) = (loop, logger)
        let seat = numbers[call.caller].flatMap { seats[$0] }
        let guest = seat?.login.flatMap { $0.account.role == .guest ? $0.account : nil }
        var request = RealmCall(
            procedure: call.procedure,
            payload: call.payload,
            caller: call.principal,
            client: seat?.opening.client ?? "",
            labels: guest?.labels,
            progress: nil
        )
        if call.receiveProgress {
            request.progress = { part in
                loop.execute { core.value.progressed(invocation, Realm.payload(part)) }
            }
        }
        // Unstructured, since the router's loop has no task; it is cancelled by `interrupt`, and ends with its body.
        calls[invocation] = Task { [request] in
            let result: Result<Payload, RealmError>
            do {
                result = .success(Realm.payload(try await body(request)))
            } catch let error as RealmError {
                result = .failure(error)
            } catch {
                logger.error("A procedure failed.", metadata: ["wamp.error": "\(type(of: error))"])
                result = .failure(RealmError(code: "internal", message: "Something failed here. The log says more."))
            }
            loop.execute { core.value.finished(invocation, result) }
        }
    }

    private func progressed(_ invocation: InvocationID, _ part: Payload) {
        perform(router.yielded(invocation, part, progress: true, at: .now))
    }

    private func finished(_ invocation: InvocationID, _ result: Result<Payload, RealmError>) {
        calls[invocation] = nil
        switch result {
        case .success(let payload): perform(router.yielded(invocation, payload, at: .now))
        case .failure(let error): perform(router.failed(invocation, error.uri, error.payload, at: .now))
        }
    }
}

extension RouterAction {
    fileprivate var isNotAuthorized: Bool {
        if case .send(_, .error(_, _, _, WAMPReason.notAuthorized, _)) = self { true } else { false }
    }

    /// The session that is told to go.
    fileprivate var dismissed: SessionID? {
        if case .send(let session, .goodbye) = self { session } else { nil }
    }
}
