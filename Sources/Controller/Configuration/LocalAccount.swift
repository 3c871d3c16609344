/// A user or a group of this machine, and the role that the configuration gives to whoever comes from it.
import Glibc
import Store

/// Named as `ann` or `1000`, a group as `@media` or `@1000`.
enum LocalAccount: Sendable, Hashable {
    case user(uid_t)
    case group(gid_t)

    /// Nil where this machine has none of that name; a number stands for itself.
    init?(_ text: String) {
        if text.hasPrefix("@") {
            let name = String(text.dropFirst())
            guard let id = gid_t(name) ?? getgrnam(name)?.pointee.gr_gid else { return nil }
            self = .group(id)
        } else {
            guard let id = uid_t(text) ?? getpwnam(text)?.pointee.pw_uid else { return nil }
            self = .user(id)
        }
    }
}

extension Configuration.Control {
    /// What the users and groups of one role's list may do.
    struct Grant: Sendable, Hashable {
        var account: LocalAccount
        var role: AccountRole
    }
}
