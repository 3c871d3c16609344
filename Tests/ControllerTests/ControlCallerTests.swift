/// What other users of the machine may ask of the daemon.
import Glibc
import Seedbox
import Store
import Testing

@testable import Controller

@Suite struct ControlCallerTests {
    private static let stranger: uid_t = 54_321

    private func role(
        _ uid: uid_t,
        gid: gid_t = 54_321,
        grants: [Configuration.Control.Grant] = []
    ) -> ControlCaller {
        ControlCaller(uid: uid, gid: gid, grants: grants, own: 990)
    }

    @Test func `the daemon's user and root are the owner whatever the lists say`() {
        for uid: uid_t in [0, 990] {
            let caller = role(uid, grants: [.init(account: .user(uid), role: .viewer)])
            #expect(caller == ControlCaller(name: "owner", role: .owner))
        }
    }

    @Test func `who is in no list only looks`() {
        #expect(role(Self.stranger) == ControlCaller(name: "uid 54321", role: .viewer))
        #expect(role(Self.stranger, grants: [.init(account: .user(1), role: .owner)]).role == .viewer)
    }

    @Test func `the greatest role of several counts`() {
        let grants: [Configuration.Control.Grant] = [
            .init(account: .group(700), role: .operator), .init(account: .user(Self.stranger), role: .viewer),
        ]
        #expect(role(Self.stranger, grants: grants).role == .viewer)
        #expect(role(Self.stranger, gid: 700, grants: grants).role == .operator)
    }

    @Test(arguments: [
        (AccountRole.viewer, ["status", "torrents", "watch", "jobs", "jobs.watch", "torrent.get", "session.stats"]),
        (.operator, ["submit", "job", "job.cancel", "job.undo"]),
        (.owner, ["exec", "user.changed", "page", "what there may be one day"]),
    ])
    func `a procedure takes its role or a greater one`(least: AccountRole, procedures: [String]) throws {
        for procedure in procedures {
            for role in AccountRole.allCases {
                let caller = ControlCaller(name: "ann", role: role)
                if role >= least {
                    try caller.mayCall(procedure)
                } else {
                    let problem = #expect(throws: Problem.self) { try caller.mayCall(procedure) }
                    #expect(problem?.code == .notPermitted)
                }
            }
        }
    }

    @Test func `accounts go by name or number, groups with a sign before it`() {
        #expect(LocalAccount("root") == .user(0))
        #expect(LocalAccount("1234") == .user(1234))
        #expect(LocalAccount("@root") == .group(0))
        #expect(LocalAccount("@1234") == .group(1234))
        for none in ["", "@", "no such user", "@no such group", "-1", "4294967296"] {
            #expect(LocalAccount(none) == nil, "\(none)")
        }
    }
}
