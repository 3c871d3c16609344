// Who may do what: an account's name, role and, for guests, the labels it is limited to.

package import Seedbox

/// What an account may do; each role includes the ones after it, but for guests' labels.
package enum AccountRole: String, Sendable, CaseIterable, Comparable {
    case owner
    case `operator`
    case viewer
    case guest

    /// The lesser role is the smaller.
    package static func < (left: AccountRole, right: AccountRole) -> Bool { left.rank < right.rank }

    private var rank: Int {
        switch self {
        case .owner: 3
        case .operator: 2
        case .viewer: 1
        case .guest: 0
        }
    }
}

package struct StoredAccount: Sendable, Hashable {
    package var name: String
    package var role: AccountRole
    /// Labels of the torrents that a guest sees; empty for the other roles.
    package var labels: [String]
    /// False where only a one-time link lets in.
    package var hasPassword: Bool
    package var createdAt: Int64
    package var changedAt: Int64
}

/// The rules for what people choose; each fault is a sentence.
package enum AccountRules {
    private static let names = 1...32
    private static let passwords = 12...256
    private static let labels = 32
    private static let labelBytes = 256

    package static func check(name: String) throws(Problem) {
        let isPlain = name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"),
                UInt8(ascii: "-"), UInt8(ascii: "."):
                true
            default: false
            }
        }
        guard isPlain, names.contains(name.utf8.count), let first = name.first, first.isLetter || first.isNumber else {
            throw Problem(
                .badRequest,
                "A user's name is 1 to 32 lower-case letters, digits, dots, dashes or underscores, "
                    + "and begins with a letter or digit."
            )
        }
    }

    package static func check(password: String, name: String) throws(Problem) {
        guard passwords.contains(password.count), password.utf8.count <= 1024 else {
            throw Problem(.badRequest, "A password has 12 to 256 characters. Several words in a row make a good one.")
        }
        guard !password.lowercased().contains(name) || name.count < 4 else {
            throw Problem(.badRequest, "A password does not contain the user's name. Choose another one.")
        }
        guard Set(password).count >= 5 else {
            throw Problem(.badRequest, "This password repeats the same few characters. Choose another one.")
        }
        guard !PasswordGuess.isEasy(password, name: name) else {
            throw Problem(
                .badRequest,
                "This password is made of common words or runs of keys, which are tried first. Choose another one; "
                    + "several uncommon words in a row make a good one."
            )
        }
    }

    package static func check(labels: [String], role: AccountRole) throws(Problem) {
        if role == .guest {
            guard (1...Self.labels).contains(labels.count),
                labels.allSatisfy({ !$0.isEmpty && $0.utf8.count <= labelBytes })
            else {
                throw Problem(
                    .badRequest,
                    "A guest is limited to 1 to 32 labels of up to 256 bytes each. Name them with --label."
                )
            }
        } else if !labels.isEmpty {
            throw Problem(.badRequest, "Only a guest is limited to labels. Leave them out, or make the role guest.")
        }
    }
}
