/// Who keeps accounts, logins, links and tickets; the server only asks.

/// A login; its cookie is known to the browser only.
package struct Login: Sendable, Hashable {
    /// Names the login; it lets nobody in.
    package var id: String
    package var account: Account

    package init(id: String, account: Account) {
        self.id = id
        self.account = account
    }
}

/// A login that has just begun.
package struct NewLogin: Sendable, Hashable {
    package var login: Login
    /// The secret for the browser's cookie; kept nowhere else.
    package var cookie: String
    /// How long it lasts at most; its cookie is kept no longer.
    package var lifetime: Duration
    /// Logins that ended to make room.
    package var ended: [String]

    package init(login: Login, cookie: String, lifetime: Duration, ended: [String] = []) {
        self.login = login
        self.cookie = cookie
        self.lifetime = lifetime
        self.ended = ended
    }
}

/// What is to be written down and happens without the keeper being asked.
package enum DoorEvent: Sendable, Hashable {
    /// A login was refused unheard, since too many of this address have failed.
    case throttled(client: String)
    case workerEntered(name: String, client: String)
    /// Whoever it was could not prove it; nil where no worker has the name.
    case workerRefused(name: String?, client: String)
    /// A user's role, or a worker's, does not allow it: `action` is WAMP's word, as `call`, and `name` the URI.
    case notPermitted(who: String, client: String, action: String, name: String)
    /// An owner ended sessions of these users.
    case sessionsKilled(who: String, client: String, users: [String])
}

/// Every secret is 256 random bits of which only a digest is kept. Nil always means "this does not let in", and tells
/// nothing of why. `WebError.overloaded` is answered with 503; nothing here runs on an event loop.
package protocol LoginKeeper: Sendable {
    /// A link's token, which logs in once.
    func makeLink(for account: Account) async throws -> String
    func open(link token: String, client: String) async throws -> NewLogin?
    /// Verifying takes the same time whether the name or the password is wrong.
    func open(name: String, password: String, client: String) async throws -> NewLogin?
    /// The login of a cookie; it counts as used.
    func login(cookie: String) async throws -> Login?
    /// Ends the login of a cookie, and its tickets; its id.
    func close(cookie: String) async throws -> String?
    /// A ticket for one websocket of this login from this origin; nil where the login has ended.
    func makeTicket(for login: Login, origin: String?) async throws -> String?
    /// The login of a ticket, which is used up by it.
    func redeem(ticket: String, user: String, origin: String?, client: String) async throws -> Login?
    /// Forgets what has expired; the ids of logins that have ended without having been told of. Called now and then.
    func expire() async throws -> [String]
    /// Writes it down; called often and by strangers' doing, so it is quick and bounded.
    func note(_ event: DoorEvent)
}
