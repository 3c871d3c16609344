/// Logins, links and tickets as the ledger keeps them, for the web server; each use of them goes into the audit log.
import Foundation
import Seedbox
import Store
import Synchronization
import Web

final class StoredLogins: LoginKeeper {
    private let ledger: Ledger
    private let audit: AuditLog
    /// Logins that got websockets here; what another process does to them shows when they are compared with the ledger.
    private let withSockets = Mutex(Known())

    private struct Known {
        var ids: Set<String> = []
        /// Ended, and told once already: told once more, for a websocket that was being let in at that moment.
        var ended: Set<String> = []
    }

    init(ledger: Ledger, audit: AuditLog) {
        self.ledger = ledger
        self.audit = audit
    }

    func makeLink(for account: Account) async throws -> String {
        try await ledger.sessions.issueLink(account.name, now: now)
    }

    func open(link token: String, client: String) async throws -> NewLogin? {
        let new = try await ledger.sessions.redeemLink(token, address: client, now: now)
        noteLogin(new?.session.account.name, "link", client, isOpen: new != nil)
        return new.map(Self.login)
    }

    func open(name: String, password: String, client: String) async throws -> NewLogin? {
        let account: StoredAccount?
        do {
            account = try await ledger.accounts.verify(name, password, now: now)
        } catch let problem as Problem where problem.code == .refused {
            throw WebError(.overloaded, problem.message, cause: problem)
        }
        guard let account else {
            // Only names that are known: people type passwords into the wrong field.
            noteLogin(try await ledger.accounts.find(name)?.name, "password", client, isOpen: false)
            return nil
        }
        let new = try await ledger.sessions.open(account.name, address: client, now: now)
        noteLogin(account.name, "password", client, isOpen: true)
        return Self.login(new)
    }

    func login(cookie: String) async throws -> Login? {
        try await ledger.sessions.find(cookie, now: now).map(Self.login)
    }

    func close(cookie: String) async throws -> String? {
        let session = try await ledger.sessions.find(cookie, now: now)
        let id = try await ledger.sessions.end(secret: cookie)
        if let session, id != nil { audit.note("logout", who: session.account.name, from: session.address) }
        return id
    }

    func makeTicket(for login: Login, origin: String?) async throws -> String? {
        try await ledger.sessions.issueTicket(session: login.id, origin: origin ?? "", now: now)
    }

    func redeem(ticket: String, user: String, origin: String?, client: String) async throws -> Login? {
        let session = try await ledger.sessions.redeem(ticket: ticket, account: user, origin: origin ?? "", now: now)
        guard let session else {
            let name = try await ledger.accounts.find(user)?.name
            audit.note("ticket", who: name, from: client, outcome: Problem.Code.refused.rawValue)
            return nil
        }
        withSockets.withLock { _ = $0.ids.insert(session.id) }
        return Self.login(session)
    }

    func note(_ event: DoorEvent) {
        switch event {
        case .throttled(let client): audit.noteRefused(from: client)
        case .workerEntered(let name, let client):
            audit.note("login", who: "worker.\(name)", from: client, target: "key")
        case .workerRefused(let name, let client):
            let outcome = Problem.Code.notPermitted.rawValue
            audit.note("login", who: name.map { "worker.\($0)" }, from: client, target: "key", outcome: outcome)
        case .notPermitted(let who, let client, let action, let name):
            let outcome = Problem.Code.notPermitted.rawValue
            audit.note(action, who: who, from: client, target: name, outcome: outcome)
        case .sessionsKilled(let who, let client, let users):
            audit.note("session.kill", who: who, from: client, target: users.joined(separator: ", "))
        }
    }

    func expire() async throws -> [String] {
        audit.settle()
        let swept = try await ledger.sessions.sweep(now: now)
        // Noted before the ledger is read: what comes meanwhile is looked at next time.
        let known = withSockets.withLock { $0.ids }
        let live = Set(try await ledger.sessions.list(now: now).map(\.id))
        let gone = known.subtracting(live)
        withSockets.withLock { known in
            known.ids.subtract(gone.intersection(known.ended))
            known.ended = gone
        }
        return Array(gone.union(swept))
    }

    private func noteLogin(_ name: String?, _ means: String, _ client: String, isOpen: Bool) {
        let outcome = isOpen ? "ok" : Problem.Code.notPermitted.rawValue
        audit.note("login", who: name, from: client, target: means, outcome: outcome)
    }

    private var now: Int64 { Int64(Date.now.timeIntervalSince1970 * 1000) }

    private static func login(_ session: StoredSession) -> Login {
        // Both lists have the same names.
        let role = Account.Role(rawValue: session.account.role.rawValue) ?? .guest
        let account = Account(name: session.account.name, role: role, labels: session.account.labels)
        return Login(id: session.id, account: account)
    }

    private static func login(_ new: (secret: String, session: StoredSession, ended: [String])) -> NewLogin {
        let lifetime = Duration.milliseconds(new.session.expiresAt - new.session.createdAt)
        return NewLogin(login: login(new.session), cookie: new.secret, lifetime: lifetime, ended: new.ended)
    }
}
