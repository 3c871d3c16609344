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
