/// A keeper of logins, links and tickets for these tests, in memory and without an end; the controller's is `StoredLogins`.
import Synchronization

@testable import Web

/// Who is let in by a password.
protocol PasswordList: Sendable {
    func verify(name: String, password: String) async throws -> Account?
}

/// Nobody: only a link lets in.
struct NoPasswords: PasswordList {
    func verify(name: String, password: String) async throws -> Account? { nil }
}

final class MemoryLogins: LoginKeeper {
    private struct Ticket {
        var login: Login
        var origin: String?
    }

    private struct State {
        var lastID = 0
        var links: [String: Account] = [:]
        var logins: [String: Login] = [:]
        var tickets: [String: Ticket] = [:]
        var events: [DoorEvent] = []
    }

    private let state = Mutex(State())
    private let passwords: any PasswordList

    init(passwords: any PasswordList = NoPasswords()) {
        self.passwords = passwords
    }

    /// Something that nobody guesses.
    static func secret() -> String {
        (0..<4).map { _ in String(UInt64.random(in: 1 << 60 ... .max), radix: 16) }.joined()
    }

    /// What was noted so far.
    var events: [DoorEvent] { state.withLock { $0.events } }

    func note(_ event: DoorEvent) { state.withLock { $0.events.append(event) } }

    func makeLink(for account: Account) -> String {
        let token = Self.secret()
        state.withLock { $0.links[token] = account }
        return token
    }

    func open(link token: String, client: String) -> NewLogin? {
        state.withLock { $0.links.removeValue(forKey: token) }.map(open)
    }

    func open(name: String, password: String, client: String) async throws -> NewLogin? {
        try await passwords.verify(name: name, password: password).map(open)
    }

    private func open(_ account: Account) -> NewLogin {
        let cookie = Self.secret()
        return state.withLock { state in
            state.lastID += 1
            let login = Login(id: String(state.lastID), account: account)
            state.logins[cookie] = login
            return NewLogin(login: login, cookie: cookie, lifetime: .seconds(3600))
        }
    }

    func login(cookie: String) -> Login? { state.withLock { $0.logins[cookie] } }

    func close(cookie: String) -> String? {
        state.withLock { state in
            guard let login = state.logins.removeValue(forKey: cookie) else { return nil }
            state.tickets = state.tickets.filter { $0.value.login.id != login.id }
            return login.id
        }
    }

    func makeTicket(for login: Login, origin: String?) -> String? {
        let ticket = Self.secret()
        return state.withLock { state in
            guard state.logins.values.contains(login) else { return nil }
            state.tickets[ticket] = Ticket(login: login, origin: origin)
            return ticket
        }
    }

    func redeem(ticket: String, user: String, origin: String?, client: String) -> Login? {
        state.withLock { state in
            guard let entry = state.tickets.removeValue(forKey: ticket), entry.login.account.name == user,
                entry.origin == origin
            else { return nil }
            return entry.login
        }
    }

    func expire() -> [String] { [] }
}
