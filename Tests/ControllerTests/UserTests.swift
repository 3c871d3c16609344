/// `farseed user` on a database of its own, with and without a daemon at the control socket.
import Foundation
import Notation
import Seedbox
import Store
import Synchronization
import Testing

@testable import Controller

private let password = "four words in a row"

/// A state directory that is gone after `body`.
private func withState(_ body: (URL) async throws -> Void) async throws {
    let directory = FileManager.default.temporaryDirectory.appending(path: "farseed-\(UUID().uuidString.prefix(8))")
    try FileManager.default.createDirectory(
        at: directory,
        withIntermediateDirectories: true,
        attributes: [.posixPermissions: 0o700]
    )
    defer { try? FileManager.default.removeItem(at: directory) }
    try await body(directory)
}

private func user(_ arguments: [String], in directory: URL, input: String? = nil) async throws -> CommandRun {
    try await CommandRun.farseed(["user"] + arguments, in: directory, input: input.map { Data($0.utf8) })
}

private func withLedger<Success>(_ directory: URL, _ body: (Ledger) async throws -> Success) async throws -> Success {
    let path = directory.appending(path: "farseed.db").path
    let ledger = try await Ledger.open(LedgerConfiguration(path: path))
    let success = try await body(ledger)
    try ledger.close()
    return success
}

@Suite struct UserTests {
    @Test func `users are added, listed, changed and removed without a daemon`() async throws {
        try await withState { directory in
            let added = try await user(["add", "ann", "--role", "owner"], in: directory, input: password + "\n")
            #expect(added.status == 0, "\(added.errors)")
            #expect(added.text == "added ann, owner\n")
            let guest = try await user(
                ["add", "bob", "--role", "guest", "--label", "linux", "--label", "music", "--no-password"],
                in: directory
            )
            #expect(guest.status == 0, "\(guest.errors)")

            let json = try await user(["list", "--json"], in: directory)
            let users = try JSON.decode(json.text.trimmingCharacters(in: .newlines))["users"]?.array ?? []
            #expect(users.map { $0["name"] } == ["ann", "bob"])
            #expect(users.map { $0["role"] } == ["owner", "guest"])
            #expect(users.map { $0["password"] } == [true, false])
            #expect(users.last?["labels"] == ["linux", "music"])
            let table = try await user([], in: directory)
            #expect(table.text.hasPrefix("NAME") && table.text.contains("linux, music"))
            #expect(!json.text.contains("scrypt") && !table.text.contains("scrypt"))

            let sessions = try await withLedger(directory) { ledger in
                _ = try await ledger.sessions.open(
                    "bob",
                    address: "::1",
                    now: Int64(Date.now.timeIntervalSince1970) * 1000
                )
                return try await ledger.sessions.list(now: Int64(Date.now.timeIntervalSince1970) * 1000)
            }
            #expect(sessions.count == 1)
            let changed = try await user(["passwd", "bob"], in: directory, input: "another long one\r\n")
            #expect(changed.text == "changed the password of bob; ended 1 session\n")
            let verified = try await withLedger(directory) { ledger in
                [
                    try await ledger.accounts.verify("bob", "another long one", now: 2)?.role,
                    try await ledger.accounts.verify("ann", password, now: 2)?.role,
                ]
            }
            #expect(verified == [.guest, .owner])

            let role = try await user(["role", "bob", "operator"], in: directory)
            #expect(role.text == "bob is operator now; ended 0 sessions\n")
            #expect(try await user(["role", "bob", "guest", "--label", "films"], in: directory).status == 0)
            let bob = try await withLedger(directory) { try await $0.accounts.find("bob") }
            #expect(bob?.role == .guest && bob?.labels == ["films"] && bob?.hasPassword == true)
            #expect(try await user(["remove", "bob"], in: directory).text == "removed bob; ended 0 sessions\n")
            #expect(try await user(["passwd", "bob"], in: directory, input: password).status == 13)
        }
    }

    @Test func `each refusal has its code and one sentence`() async throws {
        try await withState { directory in
            #expect(try await user(["add", "ann", "--role", "owner", "--no-password"], in: directory).status == 0)
            let cases: [(arguments: [String], input: String?, code: Problem.Code)] = [
                (["add", "ann", "--role", "viewer"], password, .duplicate),
                (["add", "Ann!", "--role", "viewer"], password, .badRequest),
                (["add", "bob", "--role", "guest"], password, .badRequest),
                (["add", "bob", "--role", "viewer", "--label", "x"], password, .badRequest),
                (["add", "owner", "--role", "viewer"], password, .badRequest),
                (["add", "bob", "--role", "viewer"], "short\n", .badRequest),
                (["add", "bob", "--role", "viewer"], String(repeating: "long ", count: 2000), .badRequest),
                (["add", "bob", "--role", "viewer"], "", .badRequest),
                (["add", "bob", "--role", "viewer"], nil, .badRequest),
                (["passwd", "bob"], password, .notFound),
                (["remove", "bob"], nil, .notFound),
                (["remove", "ann"], nil, .conflict),
                (["role", "bob", "viewer"], nil, .notFound),
                (["role", "ann", "viewer"], nil, .conflict),
                (["role", "ann", "guest"], nil, .badRequest),
                (["role", "ann", "owner", "--label", "x"], nil, .badRequest),
                (["role", "owner", "viewer"], nil, .badRequest),
            ]
            for (arguments, input, code) in cases {
                let run = try await user(arguments, in: directory, input: input)
                #expect(run.status == code.exitCode, "\(arguments) \(run.errors)")
                #expect(run.errors.hasPrefix("farseed: ") && run.errors.split(separator: "\n").count == 1)
                #expect(run.text.isEmpty)
            }
            // A password is no argument, whatever one tries.
            #expect(try await user(["passwd", "ann", password], in: directory).status == 64)
            #expect(try await user(["add", "bob", "--role", "king"], in: directory).status == 64)
            #expect(try await user(["role", "ann", "king"], in: directory).status == 64)
            let left = try await withLedger(directory) { try await $0.accounts.list().map(\.name) }
            #expect(left == ["ann"])
        }
    }

    @Test func `a terminal is asked twice, and shows nothing of what is typed`() async throws {
        try await withState { directory in
            let run = try TerminalRun(["user", "add", "ann", "--role", "owner"], in: directory)
            #expect(try await run.shows("Password for ann: "))
            try run.type(password + "\n")
            #expect(try await run.shows("The same again: "))
            try run.type(password + "\n")
            #expect(try await run.status() == 0)
            #expect(try await run.shows("added ann, owner"))
            #expect(!run.text.contains("four"))

            let slip = try TerminalRun(["user", "passwd", "ann"], in: directory)
            #expect(try await slip.shows("Password for ann: "))
            try slip.type(password + "\n")
            #expect(try await slip.shows("The same again: "))
            try slip.type(password + "!\n")
            #expect(try await slip.status() == Problem.Code.badRequest.exitCode)
            #expect(!slip.text.contains("four"))

            let end = try TerminalRun(["user", "passwd", "ann"], in: directory)
            #expect(try await end.shows("Password for ann: "))
            try end.type("\u{4}")
            #expect(try await end.status() == Problem.Code.cancelled.exitCode)
        }
    }

    @Test func `the daemon is told of each change that ends sessions`() async throws {
        let told = Mutex(0)
        let answers: [String: FakeDaemon.Answer] = [
            "user.changed": { _ in
                told.withLock { $0 += 1 }
                return [:]
            },
            "page": { _ in ["page": "http://127.0.0.1:4711"] },
        ]
        try await FakeDaemon.with(answers) { daemon in
            let directory = daemon.directory
            #expect(try await user(["add", "ann", "--role", "owner", "--no-password"], in: directory).status == 0)
            #expect(told.withLock { $0 } == 0)
            let login = try await user(["login", "ann"], in: directory)
            let link = try #require(login.text.wholeMatch(of: ##/http://127.0.0.1:4711/#login=([0-9a-f]{64})\n/##))
            let uses = try await withLedger(directory) { ledger in
                let now = Int64(Date.now.timeIntervalSince1970 * 1000)
                return [
                    try await ledger.sessions.redeemLink(String(link.1), address: "::1", now: now) != nil,
                    try await ledger.sessions.redeemLink(String(link.1), address: "::1", now: now) != nil,
                ]
            }
            #expect(uses == [true, false])
            #expect(try await user(["login", "bob"], in: directory).status == 13)
            #expect(try await user(["passwd", "ann"], in: directory, input: password).status == 0)
            #expect(told.withLock { $0 } == 1)
            #expect(try await user(["add", "bob", "--role", "owner", "--no-password"], in: directory).status == 0)
            #expect(try await user(["remove", "ann"], in: directory).status == 0)
            #expect(told.withLock { $0 } == 2)
            #expect(try await user(["add", "cy", "--role", "owner", "--no-password"], in: directory).status == 0)
            #expect(try await user(["role", "bob", "viewer"], in: directory).status == 0)
            #expect(told.withLock { $0 } == 3)
        }
    }

    @Test func `a daemon that does not take note is told of, and the change stands`() async throws {
        try await FakeDaemon.with([:]) { daemon in
            let directory = daemon.directory
            #expect(try await user(["add", "ann", "--role", "owner", "--no-password"], in: directory).status == 0)
            let run = try await user(["passwd", "ann"], in: directory, input: password)
            #expect(run.status == 0)
            #expect(run.errors.hasPrefix("farseed: The change is made"))
        }
    }

    @Test func `what was done is in the audit log, refusals too, and no secret`() async throws {
        try await withState { directory in
            _ = try await user(["add", "ann", "--role", "owner"], in: directory, input: password)
            _ = try await user(["add", "ann", "--role", "owner"], in: directory, input: password)
            _ = try await user(["remove", "ann"], in: directory)
            _ = try await user(["role", "ann", "viewer"], in: directory)
            let run = try await user(["audit", "--json"], in: directory)
            let entries = try JSON.decode(run.text.trimmingCharacters(in: .newlines))["entries"]?.array ?? []
            #expect(entries.map { $0["action"] } == ["user.role", "user.remove", "user.add", "user.add"])
            #expect(entries.map { $0["outcome"] } == ["conflict", "conflict", "duplicate", "ok"])
            #expect(entries.first?["target"] == "ann to viewer")
            #expect(entries.allSatisfy { $0["who"] == "owner" })
            #expect(entries.allSatisfy { $0["origin"]?.string?.hasPrefix("command line of ") == true })
            #expect(!run.text.contains(password))
            let table = try await user(["audit", "-n", "2"], in: directory)
            #expect(table.text.split(separator: "\n").count == 3)
            #expect(try await user(["audit", "-n", "0"], in: directory).status == 64)
        }
    }
}
