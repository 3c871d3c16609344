// Accounts and passwords, and what guessing at them finds out.

import GRDB
import Seedbox
import Testing

@testable import Store

@Suite struct AccountTests {
    private let password = "four words in a row"

    @Test func `scrypt is scrypt`() throws {
        // RFC 7914, section 12: P "password", S "NaCl", N 1024, r 8, p 16; its salt has another length than ours.
        let hash = PasswordHash(
            cost: ScryptCost(log2N: 10, r: 8, p: 16),
            salt: Array("NaCl".utf8),
            hash: [UInt8](hex: "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162") ?? []
        )
        #expect(try hash.matches("password"))
        #expect(try !hash.matches("Password"))
    }

    @Test func `a hash is kept with its price and read back`() throws {
        let hash = try PasswordHash(password: password, cost: .trivial)
        let again = try #require(PasswordHash(text: hash.text))
        #expect(try again.matches(password))
        #expect(try !again.matches(""))
        #expect(try PasswordHash(password: password, cost: .trivial).text != hash.text)
        #expect(try PasswordHash(password: "", cost: .trivial).matches(""))
    }

    @Test(arguments: [
        "", "scrypt", "scrypt$40$8$1$00$00",
        "bcrypt$4$8$1$" + String(repeating: "0", count: 32) + "$" + String(repeating: "0", count: 64),
        "scrypt$40$8$1$" + String(repeating: "0", count: 32) + "$" + String(repeating: "0", count: 64),
        "scrypt$4$8$1$" + String(repeating: "0", count: 32) + "$",
        "scrypt$4$8$1$zz" + String(repeating: "0", count: 30) + "$" + String(repeating: "0", count: 64),
    ])
    func `a planted or damaged hash lets nobody in`(_ text: String) {
        #expect(PasswordHash(text: text) == nil)
    }

    @Test func `a password lets its own account in and no other`() async throws {
        let scratch = try ScratchLedger()
        let accounts = try await scratch.open().accounts
        _ = try await accounts.add("ann", password: password, role: .owner, now: 1)
        _ = try await accounts.add(
            "bob",
            password: "another good one",
            role: .guest,
            labels: ["linux", "mu\"sic"],
            now: 2
        )
        _ = try await accounts.add("link-only", password: nil, role: .viewer, now: 2)
        #expect(try await accounts.verify("ann", password, now: 3)?.role == .owner)
        #expect(try await accounts.verify("bob", "another good one", now: 3)?.labels == ["linux", "mu\"sic"])
        for (name, word) in [
            ("ann", "another good one"), ("ann", ""), ("bob", password), ("carol", password), ("ANN", password),
            ("link-only", ""), ("", ""), ("ann", String(repeating: "x", count: 5_000)),
        ] {
            #expect(try await accounts.verify(name, word, now: 3) == nil, "\(name)")
        }
    }

    @Test func `accents match however they were composed`() async throws {
        let scratch = try ScratchLedger()
        let accounts = try await scratch.open().accounts
        _ = try await accounts.add("ann", password: "caf\u{E9} au lait fort", role: .owner, now: 1)
        #expect(try await accounts.verify("ann", "cafe\u{301} au lait fort", now: 3) != nil)
    }

    @Test func `an unknown name takes as long as a wrong password`() async throws {
        let scratch = try ScratchLedger()
        let accounts = try await scratch.open { $0.passwordCost = ScryptCost(log2N: 13, r: 8, p: 1) }.accounts
        _ = try await accounts.add("ann", password: password, role: .owner, now: 1)
        _ = try await accounts.add("link-only", password: nil, role: .viewer, now: 1)
        // Interleaved, and the best of each, because a busy machine only ever adds time.
        let names = ["ann", "nobody", "link-only"]
        var best: [String: Duration] = [:]
        for _ in 0..<12 {
            for name in names {
                let time = try await ContinuousClock().measure {
                    _ = try await accounts.verify(name, "wrong words", now: 2)
                }
                best[name] = min(best[name] ?? time, time)
            }
        }
        let known = try #require(best["ann"])
        for name in names {
            let time = try #require(best[name])
            // Without the decoy it would be a fiftieth.
            #expect(time > known / 4 && time < known * 4, "\(name): \(time), known: \(known)")
        }
    }

    @Test func `a cheaper old hash is made dearer at the next login`() async throws {
        let scratch = try ScratchLedger()
        var ledger = try await scratch.open()
        _ = try await ledger.accounts.add("ann", password: password, role: .owner, now: 1)
        try ledger.close()
        let dearer = ScryptCost(log2N: 6, r: 8, p: 1)
        ledger = try await scratch.open { $0.passwordCost = dearer }
        #expect(try await ledger.accounts.verify("ann", password, now: 2) != nil)
        let text = try await ledger.read { try String.fetchOne($0, sql: "SELECT password FROM accounts") }
        #expect(text.flatMap(PasswordHash.init(text:))?.cost == dearer)
        #expect(try await ledger.accounts.verify("ann", password, now: 3) != nil)
    }

    @Test func `a flood of logins is bounded, and refused in a sentence`() async throws {
        let scratch = try ScratchLedger()
        let accounts = try await scratch.open { $0.passwordCost = ScryptCost(log2N: 11, r: 8, p: 1) }.accounts
        _ = try await accounts.add("ann", password: password, role: .owner, now: 1)
        let word = password
        let (right, refused) = await withTaskGroup(of: Problem.Code?.self) { group in
            for _ in 0..<400 {
                group.addTask {
                    do {
                        return try await accounts.verify("ann", word, now: 2) == nil ? .internalFault : nil
                    } catch { return (error as? Problem)?.code }
                }
            }
            return await group.reduce(into: (0, 0)) { count, code in
                if code == nil { count.0 += 1 }
                if code == .refused { count.1 += 1 }
            }
        }
        #expect(right + refused == 400)
        #expect(right >= 128)
        #expect(try await accounts.verify("ann", word, now: 2) != nil)
    }

    @Test func `the last owner stays`() async throws {
        let scratch = try ScratchLedger()
        let accounts = try await scratch.open().accounts
        _ = try await accounts.add("ann", password: nil, role: .owner, now: 1)
        _ = try await accounts.add("bob", password: nil, role: .operator, now: 1)
        await #expect(throws: Problem.self) { _ = try await accounts.remove("ann") }
        await #expect(throws: Problem.self) { _ = try await accounts.setRole("ann", .viewer, now: 2) }
        _ = try await accounts.setRole("bob", .owner, now: 2)
        _ = try await accounts.remove("ann")
        #expect(try await accounts.list().map(\.name) == ["bob"])
    }

    @Test(arguments: ["", "Ann", "a b", "../x", "-ann", "ännchen", String(repeating: "a", count: 33), "a\u{0}b"])
    func `a name that could be mistaken for something else is refused`(_ name: String) async throws {
        let scratch = try ScratchLedger()
        let accounts = try await scratch.open().accounts
        let problem = await #expect(throws: Problem.self) {
            _ = try await accounts.add(name, password: nil, role: .owner, now: 1)
        }
        #expect(problem?.code == .badRequest)
    }

    @Test(arguments: ["", "short", "aaaaaaaaaaaaaaaaaa", "annabella12345", String(repeating: "long", count: 100)])
    func `a poor password is refused with what to do`(_ word: String) async throws {
        let scratch = try ScratchLedger()
        let accounts = try await scratch.open().accounts
        let problem = await #expect(throws: Problem.self) {
            _ = try await accounts.add("annabella", password: word, role: .owner, now: 1)
        }
        #expect(problem?.code == .badRequest)
        #expect(try await accounts.list().isEmpty)
    }

    @Test(arguments: [
        "passwordpassword", "Password12345", "P@ssw0rd1234", "qwertyuiop123", "1q2w3e4r5t6y", "1qaz2wsx3edc",
        "123456789012",
        "987654321abc", "abcdefghijklm", "iloveyou12345", "farseed seedbox", "transmission1", "letmeinletmein",
        "annaannaanna", "anna12345678", "changeme2026!", "112233445566", "justinbieber", "zaq12wsxcde3",
        "trustno1trustno1",
    ])
    func `common words, runs of keys and the user's name are no password`(_ password: String) {
        #expect(throws: Problem.self) { try AccountRules.check(password: password, name: "anna") }
    }

    @Test(arguments: [
        "four words in a row", "kitchen lamp nine", "kX9!mv2#Lq0z", "f3b9c81e77d24a05", "мой дом у реки 7",
        "我家在河边有一棵老树和井",
        "correct horse battery staple", "Tr0ub4dor&3xyz", "lamp lamp lamp kitchen",
        String(repeating: "x9 Lq", count: 51),
    ])
    func `what is not to be guessed is a password`(_ password: String) throws {
        try AccountRules.check(password: password, name: "anna")
    }

    @Test func `a guest has labels, and nobody else does`() async throws {
        let scratch = try ScratchLedger()
        let accounts = try await scratch.open().accounts
        await #expect(throws: Problem.self) { _ = try await accounts.add("g", password: nil, role: .guest, now: 1) }
        await #expect(throws: Problem.self) {
            _ = try await accounts.add("v", password: nil, role: .viewer, labels: ["x"], now: 1)
        }
        let taken = try await accounts.add("g", password: nil, role: .guest, labels: ["x"], now: 1)
        #expect(taken.labels == ["x"])
        let problem = await #expect(throws: Problem.self) {
            _ = try await accounts.add("g", password: nil, role: .owner, now: 1)
        }
        #expect(problem?.code == .duplicate)
    }

    @Test func `roles are ordered by what they may`() {
        #expect(AccountRole.allCases.sorted() == [.guest, .viewer, .operator, .owner])
    }
}
