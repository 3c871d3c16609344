/// Somebody who may use Farseed, and what they may do.
package struct Account: Sendable, Hashable {
    /// Also the WAMP `authrole`.
    package enum Role: String, Sendable, CaseIterable {
        /// Everything, accounts included.
        case owner
        /// Everything about torrents.
        case `operator`
        /// Looks.
        case viewer
        /// Looks at torrents of some labels.
        case guest
    }

    package var name: String
    package var role: Role
    /// The labels that a guest is limited to.
    package var labels: [String]

    package init(name: String, role: Role, labels: [String] = []) {
        self.name = name
        self.role = role
        self.labels = labels
    }
}

/// Where accounts come from. Verifying is slow by design and never runs on an event loop.
package protocol AccountStore: Sendable {
    /// The account, where name and password belong together; the time taken must not tell which of them was wrong.
    func verify(name: String, password: String) async throws -> Account?
}

/// No accounts but the owner's, who comes by the one-time link.
package struct NoAccounts: AccountStore {
    package init() {}
    package func verify(name: String, password: String) async throws -> Account? { nil }
}
