/// What guests see: each set of labels has a name, and one stream that all guests of that set share.
import Crypto
import Synchronization

package final class GuestScopes: Sendable {
    private let byName = Mutex<[String: [String]]>([:])

    package init() {}

    /// The labels of a scope that somebody has entered with; nil for any other name.
    package func labels(of name: String) -> [String]? { byName.withLock { $0[name] } }

    /// All scopes so far; as many as there are sets of labels among the accounts.
    package var all: [String: [String]] { byName.withLock { $0 } }

    /// The same for the same labels in any order; part of topics and roles, and no secret.
    package static func name(of labels: [String]) -> String {
        var hash = SHA256()
        for label in Set(labels).sorted() {
            hash.update(data: Array(label.utf8))
            // No label holds this byte.
            hash.update(data: [0xFF])
        }
        return hash.finalize().prefix(16).map { byte in
            String(byte >> 4, radix: 16) + String(byte & 15, radix: 16)
        }.joined()
    }

    /// True where the scope is new.
    func enter(_ name: String, _ labels: [String]) -> Bool {
        byName.withLock { $0.updateValue(labels, forKey: name) == nil }
    }
}
