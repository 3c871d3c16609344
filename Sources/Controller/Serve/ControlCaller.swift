/// Who is at the other end of the control socket, by the kernel's word, and what that user may ask for.
import Glibc
import NIOCore
import NIOPosix
import Seedbox
import Store

struct ControlCaller: Sendable, Hashable {
    /// As jobs and the audit log name the user.
    var name: String
    var role: AccountRole

    /// Room for one line of the user database.
    private static let lineRoom = 16_384
    /// Linux lets nobody be in more groups.
    private static let mostGroups: Int32 = 65_536

    init(name: String, role: AccountRole) {
        self.name = name
        self.role = role
    }

    /// The daemon's own user and root are the owner; others are what `grants` gives them, the greatest role of several,
    /// and viewers where it gives none: they were let in by the socket's group.
    init(uid: uid_t, gid: gid_t, grants: [Configuration.Control.Grant], own: uid_t = geteuid()) {
        guard uid != own, uid != 0 else {
            self.init(name: Owner.name, role: .owner)
            return
        }
        let login = Self.login(of: uid)
        var accounts: Set = [LocalAccount.user(uid), .group(gid)]
        if grants.contains(where: { if case .group = $0.account { true } else { false } }), let login {
            accounts.formUnion(Self.groups(of: login, gid).map(LocalAccount.group))
        }
        let role = grants.filter { accounts.contains($0.account) }.map(\.role).max()
        self.init(name: login ?? "uid \(uid)", role: role ?? .viewer)
    }

    /// Away from the event loops: the machine's list of users may be slow.
    static func of(_ peer: PeerCredentials, grants: [Configuration.Control.Grant]) async throws -> ControlCaller {
        try await NIOThreadPool.singleton.runIfActive {
            ControlCaller(uid: peer.uid, gid: peer.gid, grants: grants)
        }
    }

    /// Throws where the role is too small for a procedure of the control socket.
    func mayCall(_ procedure: String) throws(Problem) {
        let needed = Self.role(for: procedure)
        guard role < needed else { return }
        throw Problem(
            .notPermitted,
            "To the daemon you are \(role.article) \(role.rawValue), and this takes \(needed.article) "
                + "\(needed.rawValue). The owner gives roles in [control] of farseed.toml."
        )
    }

    /// The least role that may call it; what is not listed is the owner's.
    private static func role(for procedure: String) -> AccountRole {
        if JobDesk.questions.contains(procedure) { return .viewer }
        return switch procedure {
        case "status", "torrents", "watch", "jobs", "jobs.watch": .viewer
        // A job's arguments may be a magnet link with somebody's passkey.
        case "submit", "job", "job.cancel", "job.undo": .operator
        default: .owner
        }
    }

    private static func login(of uid: uid_t) -> String? {
        var entry = passwd()
        var found: UnsafeMutablePointer<passwd>?
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: lineRoom) { room -> String? in
            guard getpwuid_r(uid, &entry, room.baseAddress!, room.count, &found) == 0, found != nil else { return nil }
            return entry.pw_name.map { String(cString: $0) }
        }
    }

    private static func groups(of login: String, _ gid: gid_t) -> [gid_t] {
        var count: Int32 = 64
        while true {
            var groups = [gid_t](repeating: 0, count: Int(count))
            let room = count
            if getgrouplist(login, gid, &groups, &count) >= 0 { return Array(groups.prefix(Int(count))) }
            guard count > room, count <= mostGroups else { return [] }
        }
    }
}

/// The kernel's `struct ucred`, which Swift does not see: unix(7), "SO_PEERCRED".
struct PeerCredentials: Sendable {
    var pid: pid_t
    var uid: uid_t
    var gid: gid_t

    /// Asks the kernel who connected.
    static func of(_ channel: any Channel) -> EventLoopFuture<PeerCredentials> {
        guard let provider = channel as? any SocketOptionProvider else {
            return channel.eventLoop.makeFailedFuture(ChannelError.operationUnsupported)
        }
        return provider.unsafeGetSocketOption(level: .socket, name: NIOBSDSocket.Option(rawValue: SO_PEERCRED))
    }
}

extension AccountRole {
    fileprivate var article: String { self == .owner || self == .operator ? "an" : "a" }
}
