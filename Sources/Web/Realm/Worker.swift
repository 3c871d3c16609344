/// Programs that enter by a secret or a key of their own, without a login: who they are and what they may do.
import WAMP

/// A program that the owner lets in under a name of its own.
package struct Worker: Sendable, Hashable {
    /// How it proves who it is.
    package enum Proof: Sendable, Hashable {
        /// WAMP-CRA: both sides know this; it never travels.
        case secret([UInt8])
        /// WAMP-Cryptosign: the 32 bytes of an Ed25519 key.
        case publicKey([UInt8])
    }

    /// Also its WAMP `authid`.
    package var name: String
    /// Its permissions beside those on its own URIs.
    package var role: Account.Role
    package var proof: Proof
    /// What begins so, it may register and call.
    package var procedures: [String]
    /// What begins so, it may publish and subscribe to.
    package var topics: [String]

    package init(
        name: String,
        role: Account.Role,
        proof: Proof,
        procedures: [String] = [],
        topics: [String] = []
    ) {
        self.name = name
        self.role = role
        self.proof = proof
        self.procedures = procedures
        self.topics = topics
    }

    var method: AuthMethod {
        switch proof {
        case .secret: .wampcra
        case .publicKey: .cryptosign
        }
    }
}

/// All who enter a realm without a login: its workers, and where that is wanted, anybody.
struct Workers: Sendable {
    private let byName: [String: Worker]
    /// What begins so, anybody may subscribe to; where there is none, nobody enters without showing who it is.
    private let openTopics: [String]

    init(_ workers: [Worker], openTopics: [String] = []) {
        byName = Dictionary(workers.map { ($0.name, $0) }) { first, _ in first }
        self.openTopics = openTopics
    }

    /// The methods that somebody uses.
    var methods: Set<AuthMethod> { Set(byName.values.map(\.method)).union(openTopics.isEmpty ? [] : [.anonymous]) }

    /// What a client must prove that says it is this worker. For a name that nobody has, or that has another method, it
    /// looks the same and can never be proved.
    func credential(of name: String, by method: AuthMethod) -> Credential {
        if method == .anonymous {
            let method = AuthMethod.anonymous.rawValue
            return .anonymous(Principal(authid: method, role: method, method: method, provider: "farseed"))
        }
        let worker = byName[name].flatMap { $0.method == method ? $0 : nil }
        let principal = Principal(
            authid: name,
            role: Self.role(of: name),
            method: method.rawValue,
            provider: "farseed"
        )
        switch (method, worker?.proof) {
        case (.wampcra, .secret(let secret)): return .wampcra(principal, secret: secret, salt: nil)
        case (.wampcra, _):
            return .wampcra(principal, secret: (0..<32).map { _ in UInt8.random(in: 0...255) }, salt: nil)
        case (.cryptosign, .publicKey(let key)): return .cryptosign(principal, publicKey: key)
        default: return .unknown(method)
        }
    }

    func contains(_ name: String) -> Bool { byName[name] != nil }

    /// The table, with what workers may do, and with what the roles may do with the workers' URIs.
    func granted(_ table: PermissionTable) -> PermissionTable {
        var roles = table.roles
        for worker in byName.values.sorted(by: { $0.name < $1.name }) {
            let procedures = worker.procedures.map { URIPattern($0, .prefix) }
            let topics = worker.topics.map { URIPattern($0, .prefix) }
            let own =
                procedures.map { Permission($0, [.register, .call]) }
                + topics.map { Permission($0, [.publish, .subscribe]) }
            roles[Self.role(of: worker.name)] = (table.roles[worker.role.rawValue] ?? []) + own
            for role in [Account.Role.owner, .operator] {
                roles[role.rawValue, default: []] += procedures.map { Permission($0, [.call]) }
            }
            for role in [Account.Role.owner, .operator, .viewer] {
                roles[role.rawValue, default: []] += topics.map { Permission($0, [.subscribe]) }
            }
        }
        if !openTopics.isEmpty {
            roles[AuthMethod.anonymous.rawValue] = openTopics.map { Permission(URIPattern($0, .prefix), [.subscribe]) }
        }
        return PermissionTable(roles)
    }

    /// A worker's permissions are its own, so its `authrole` is too.
    private static func role(of name: String) -> String { rolePrefix + name }

    fileprivate static let rolePrefix = "worker."
}

extension Principal {
    /// The worker's name, where this is one; a user of that name is somebody else.
    package var worker: String? { role.hasPrefix(Workers.rolePrefix) ? authid : nil }

    /// Anybody may be this, and nothing is known of it.
    var isAnonymous: Bool { method == AuthMethod.anonymous.rawValue }

    /// Whom the census counts a session without a login for; no user's name has a space.
    var countedAs: String { isAnonymous ? "no login" : role }
}
