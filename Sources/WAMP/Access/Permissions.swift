/// Who may do what: by role, URI and operation, and nothing that is not listed.

/// What a session may ask for.
package enum Operation: Sendable, Hashable, CaseIterable {
    case subscribe
    case publish
    case call
    case register
}

/// Operations allowed on all URIs of a pattern.
///
/// A prefix is a prefix of characters, as the specification says: write `farseed.vps.` with its dot, or the
/// permission reaches `farseed.vps2` too.
package struct Permission: Sendable, Hashable {
    package var pattern: URIPattern
    package var operations: Set<Operation>

    package init(_ pattern: URIPattern, _ operations: Set<Operation>) {
        self.pattern = pattern
        self.operations = operations
    }
}

/// The permissions of every role; a role that is not listed may do nothing.
package struct PermissionTable: Sendable, Hashable {
    package var roles: [String: [Permission]]

    package init(_ roles: [String: [Permission]] = [:]) { self.roles = roles }

    /// Whether the role may do this to all that the pattern can match.
    package func allows(_ operation: Operation, _ pattern: URIPattern, role: String) -> Bool {
        roles[role]?.contains { $0.operations.contains(operation) && $0.pattern.covers(pattern) } ?? false
    }
}

/// Somebody who has proved who they are.
package struct Principal: Sendable, Hashable {
    package var authid: String
    package var role: String
    /// How they proved it: an `AuthMethod`'s name.
    package var method: String
    /// What knew them, such as `tickets`.
    package var provider: String

    package init(authid: String, role: String, method: String, provider: String) {
        self.authid = authid
        self.role = role
        self.method = method
        self.provider = provider
    }
}
