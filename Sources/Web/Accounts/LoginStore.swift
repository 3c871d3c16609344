/// Who is logged in: one-time links, logins in cookies, and the tickets by which websockets say whose they are.
import Synchronization

/// Kept in memory: a restart logs everybody out.
package final class LoginStore: LoginKeeper {
    /// How long a one-time link may be used.
    package static let linkLifetime = Duration.seconds(24 * 3600)
    /// A login ends this long after its last use, and in any case this long after its beginning.
    static let idleLifetime = Duration.seconds(7 * 24 * 3600)
    static let longestLifetime = Duration.seconds(30 * 24 * 3600)
    static let ticketLifetime = Duration.seconds(60)
    /// Bounds of memory; the oldest gives way.
    static let loginsPerAccount = 64
    static let ticketsPerLogin = 32

    private struct Entry {
        var login: Login
        var began: ContinuousClock.Instant
        var used: ContinuousClock.Instant
    }

    private struct Ticket {
        var login: Login
        var origin: String?
        var until: ContinuousClock.Instant
    }

    private struct State {
        var lastID: Int64 = 0
        var links: [[UInt8]: (account: Account, until: ContinuousClock.Instant)] = [:]
        var logins: [[UInt8]: Entry] = [:]
        var tickets: [[UInt8]: Ticket] = [:]
    }

    private let state = Mutex(State())
    private let accounts: any AccountStore
    private let now: @Sendable () -> ContinuousClock.Instant

    package init(
        accounts: any AccountStore = NoAccounts(),
        now: @escaping @Sendable () -> ContinuousClock.Instant = { ContinuousClock.now }
    ) {
        self.accounts = accounts
        self.now = now
    }

    // MARK: One-time links

    /// A token that logs in once.
    package func makeLink(for account: Account) -> String {
        let token = Secret.make()
        let until = now() + Self.linkLifetime
        if let digest = Secret.digest(token) { state.withLock { $0.links[digest] = (account, until) } }
        return token
    }

    package func open(link token: String, client: String) -> NewLogin? {
        guard let digest = Secret.digest(token) else { return nil }
        let now = now()
        let account: Account? = state.withLock { state in
            guard let link = state.links.removeValue(forKey: digest), now < link.until else { return nil }
            return link.account
        }
        return account.map(open)
    }

    // MARK: Logins

    package func open(name: String, password: String, client: String) async throws -> NewLogin? {
        try await accounts.verify(name: name, password: password).map(open)
    }

    /// Logs in; always under a new cookie, so that none planted before is worth anything.
    func open(_ account: Account) -> NewLogin {
        let cookie = Secret.make()
        let now = now()
        return state.withLock { state in
            state.lastID += 1
            var new = NewLogin(login: Login(id: String(state.lastID), account: account), cookie: cookie)
            let others = state.logins.filter { $0.value.login.account.name == account.name }
            if others.count >= Self.loginsPerAccount, let oldest = others.min(by: { $0.value.used < $1.value.used }) {
                state.logins[oldest.key] = nil
                new.ended.append(oldest.value.login.id)
            }
            if let digest = Secret.digest(cookie) {
                state.logins[digest] = Entry(login: new.login, began: now, used: now)
            }
            return new
        }
    }

    package func login(cookie: String) -> Login? {
        guard let digest = Secret.digest(cookie) else { return nil }
        let now = now()
        return state.withLock { state in
            guard var entry = state.logins[digest], Self.isAlive(entry, now) else { return nil }
            entry.used = now
            state.logins[digest] = entry
            return entry.login
        }
    }

    package func close(cookie: String) -> String? {
        guard let digest = Secret.digest(cookie) else { return nil }
        return state.withLock { state in
            guard let entry = state.logins.removeValue(forKey: digest) else { return nil }
            state.tickets = state.tickets.filter { $0.value.login.id != entry.login.id }
            return entry.login.id
        }
    }

    package func expire() -> [String] {
        let now = now()
        return state.withLock { state in
            state.links = state.links.filter { now < $0.value.until }
            state.tickets = state.tickets.filter { now < $0.value.until }
            let ended = state.logins.filter { !Self.isAlive($0.value, now) }
            for key in ended.keys { state.logins[key] = nil }
            return ended.values.map(\.login.id)
        }
    }

    private static func isAlive(_ entry: Entry, _ now: ContinuousClock.Instant) -> Bool {
        now - entry.used < idleLifetime && now - entry.began < longestLifetime
    }

    // MARK: Tickets

    package func makeTicket(for login: Login, origin: String?) -> String? {
        let ticket = Secret.make()
        let until = now() + Self.ticketLifetime
        return state.withLock { state in
            guard state.logins.values.contains(where: { $0.login.id == login.id }) else { return nil }
            let others = state.tickets.filter { $0.value.login.id == login.id }
            if others.count >= Self.ticketsPerLogin, let oldest = others.min(by: { $0.value.until < $1.value.until }) {
                state.tickets[oldest.key] = nil
            }
            if let digest = Secret.digest(ticket) {
                state.tickets[digest] = Ticket(login: login, origin: origin, until: until)
            }
            return ticket
        }
    }

    /// Used up rightly or wrongly.
    package func redeem(ticket: String, user: String, origin: String?, client: String = "") -> Login? {
        guard let digest = Secret.digest(ticket) else { return nil }
        let now = now()
        return state.withLock { state in
            guard let entry = state.tickets.removeValue(forKey: digest), now < entry.until,
                entry.login.account.name == user, entry.origin == origin,
                state.logins.values.contains(where: { $0.login.id == entry.login.id && Self.isAlive($0, now) })
            else { return nil }
            return entry.login
        }
    }
}
