/// Logins, links and tickets as the ledger keeps them, for the web server.
import Foundation
import Seedbox
import Store
import Web

struct StoredLogins: LoginKeeper {
    let ledger: Ledger

    func makeLink(for account: Account) async throws -> String {
        try await ledger.sessions.issueLink(account.name, now: now)
    }

    func open(link token: String, client: String) async throws -> NewLogin? {
        try await ledger.sessions.redeemLink(token, address: client, now: now).map(Self.login)
    }

    func open(name: String, password: String, client: String) async throws -> NewLogin? {
        let account: StoredAccount?
        do {
            account = try await ledger.accounts.verify(name, password, now: now)
        } catch let problem as Problem where problem.code == .refused {
            throw WebError(.overloaded, problem.message, cause: problem)
        }
        guard let account else { return nil }
        return Self.login(try await ledger.sessions.open(account.name, address: client, now: now))
    }

    func login(cookie: String) async throws -> Login? {
        try await ledger.sessions.find(cookie, now: now).map(Self.login)
    }

    func close(cookie: String) async throws -> String? { try await ledger.sessions.end(secret: cookie) }

    func makeTicket(for login: Login, origin: String?) async throws -> String? {
        try await ledger.sessions.issueTicket(session: login.id, origin: origin ?? "", now: now)
    }

    func redeem(ticket: String, user: String, origin: String?) async throws -> Login? {
        try await ledger.sessions.redeem(ticket: ticket, account: user, origin: origin ?? "", now: now).map(Self.login)
    }

    func expire() async throws -> [String] { try await ledger.sessions.sweep(now: now) }

    private var now: Int64 { Int64(Date.now.timeIntervalSince1970 * 1000) }

    private static func login(_ session: StoredSession) -> Login {
        // Both lists have the same names.
        let role = Account.Role(rawValue: session.account.role.rawValue) ?? .guest
        let account = Account(name: session.account.name, role: role, labels: session.account.labels)
        return Login(id: session.id, account: account)
    }

    private static func login(_ new: (secret: String, session: StoredSession, ended: [String])) -> NewLogin {
        NewLogin(login: login(new.session), cookie: new.secret, ended: new.ended)
    }
}
