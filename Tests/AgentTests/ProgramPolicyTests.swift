import Seedbox
import Testing
import Transmission

@testable import Agent

@Suite struct ProgramPolicyTests {
    private func policy(
        password: Bool = false,
        url: String = "http://127.0.0.1:9191/transmission/rpc",
        _ text: String = ""
    ) throws -> ProgramPolicy {
        var rpc = RPCConfiguration(url: url)!
        if password { (rpc.user, rpc.password) = ("me", "secret") }
        return ProgramPolicy(try AgentConfiguration(parsing: text), rpc: rpc)
    }

    private let remote = "/usr/bin/transmission-remote"

    @Test(arguments: [
        (["-l"], ["127.0.0.1:9191", "-l"]), ([], ["127.0.0.1:9191"]),
        (["127.0.0.1:9999", "-l"], ["127.0.0.1:9999", "-l"]),
        (["-t", "3", "-i"], ["127.0.0.1:9191", "-t", "3", "-i"]),
        (["-ne", "-l"], ["127.0.0.1:9191", "-l"]),
    ])
    func `transmission-remote is told this box's address where none is given`(_ given: [String], _ told: [String])
        throws
    {
        let plan = try policy().plan(["transmission-remote"] + given) { _ in true }
        #expect(plan == .init(path: remote, arguments: told, isTrusted: false))
    }

    @Test func `an unusual path makes it a URL`() throws {
        let plan = try policy(url: "http://127.0.0.1:80/t/rpc").plan(["transmission-remote", "-l"]) { _ in true }
        #expect(plan.arguments == ["http://127.0.0.1:80/t/", "-l"])
    }

    @Test func `the password goes to this box only`() throws {
        let own = try policy(password: true).plan(["transmission-remote", "-l"]) { _ in true }
        #expect(own == .init(path: remote, arguments: ["127.0.0.1:9191", "-ne", "-l"], isTrusted: true))
        let named = try policy(password: true).plan([remote, "127.0.0.1:9191", "-ne", "-l"]) { _ in true }
        #expect(named == own)
        let foreign = try policy(password: true).plan(["transmission-remote", "evil.example:80", "-l"]) { _ in true }
        #expect(foreign == .init(path: remote, arguments: ["evil.example:80", "-l"], isTrusted: false))
    }

    @Test(arguments: [
        "-n", "-nme:pw", "-N", "-N/etc/netrc", "--auth", "--auth=me:pw", "--netrc", "--netrc=/x",
        "--torrent-done-script",
        "--torrent-done-script=/tmp/x", "-nea", "--authx",
    ])
    func `passwords and scripts are not passed on`(_ option: String) throws {
        let problem = #expect(throws: Problem.self) {
            try policy().plan(["transmission-remote", "-l", option, "x"]) { _ in true }
        }
        #expect(problem?.code == .notPermitted)
        #expect(problem?.message.contains("me:pw") == false)
    }

    @Test(arguments: [
        [], [""], ["sh"], ["/bin/sh", "-c", "id"], ["./transmission-remote"], ["/tmp/transmission-remote", "-l"],
        ["transmission-remote "], ["TRANSMISSION-REMOTE"], ["/usr/bin/../bin/transmission-remote"],
        ["transmission-remote\u{0}"],
        ["transmission-remote", "-l\u{0}"], ["transmission-remote", String(repeating: "x", count: 200_000)],
    ])
    func `other programs and impossible arguments are refused`(_ argv: [String]) {
        #expect(throws: Problem.self) { try policy().plan(argv) { _ in true } }
    }

    @Test func `a missing program is named`() {
        let problem = #expect(throws: Problem.self) { try policy().plan(["transmission-remote"]) { _ in false } }
        #expect(problem?.code == .programMissing)
        #expect(problem?.message.contains("transmission-cli") == true)
    }

    @Test(arguments: [
        (["/usr/bin/du", "-sh", "/srv/a"], true), (["/usr/bin/du", "-sh", "/srv/"], true),
        (["/usr/bin/du", "-sh", "/etc"], false), (["/usr/bin/du", "-sh"], false), (["/usr/bin/du"], false),
        (["/usr/bin/du", "-sh", "/srv/a", "b"], false), (["du", "-sh", "/srv/a"], false),
        (["/usr/bin/df"], true), (["/usr/bin/df", "-h", "anything"], true),
        (["/usr/bin/ls", "/a", "-x"], true), (["/usr/bin/ls"], false), (["/usr/bin/ls", "--help"], false),
    ])
    func `more programs are allowed by path and pattern`(_ argv: [String], _ isAllowed: Bool) throws {
        let policy = try policy(
            "allow-exec /usr/bin/du -sh /srv/*\nallow-exec /usr/bin/df\nallow-exec /usr/bin/ls * ..."
        )
        #expect(((try? policy.plan(argv) { _ in true }) != nil) == isAllowed)
    }

    @Test func `a pattern that could take for ever does not`() {
        let text = String(repeating: "a", count: 50_000)
        #expect(!ProgramPolicy.fits([text + "b"], [String(repeating: "a*", count: 30) + "c"]))
    }

    @Test func `ten thousand mutated argument vectors stay within the list`() throws {
        let policy = try policy(password: true, "allow-exec /usr/bin/du -sh /srv/*")
        var generator = Seeded(77)
        let seeds = [
            ["transmission-remote", "-l"], ["/usr/bin/transmission-remote", "-t", "1", "-S"],
            ["/usr/bin/du", "-sh", "/srv/x"],
            ["transmission-remote", "-ne", "--debug"],
        ]
        for _ in 0..<10_000 {
            let argv = seeds.randomElement(using: &generator)!.map { word in
                Bool.random(using: &generator)
                    ? word : String(decoding: mutate(Array(word.utf8), &generator), as: UTF8.self)
            }
            guard let plan = try? policy.plan(argv, exists: { _ in true }) else { continue }
            #expect(plan.path == "/usr/bin/transmission-remote" || plan.path == "/usr/bin/du")
            #expect(!plan.isTrusted || plan.arguments[0] == "127.0.0.1:9191")
            #expect(!plan.arguments.contains { $0.hasPrefix("-n") && $0 != "-ne" || $0.hasPrefix("--auth") })
            if plan.path == "/usr/bin/du" { #expect(plan.arguments.count == 2 && plan.arguments[1].hasPrefix("/srv/")) }
        }
    }

    @Test func `secrets are blotted out wherever a piece is cut`() {
        let text = Array("> Authorization: Basic bWU6c2VjcmV0\nsecret sec me:secret end se".utf8)
        let secrets = ["secret", "me:secret", "bWU6c2VjcmV0"]
        var whole = SecretFilter(secrets)
        let expected = whole.pass(text) + whole.finish()
        #expect(
            String(decoding: expected, as: UTF8.self) == "> Authorization: Basic ********\n******** sec ******** end se"
        )
        for cut in 0...text.count {
            var filter = SecretFilter(secrets)
            let passed = filter.pass(Array(text[..<cut])) + filter.pass(Array(text[cut...])) + filter.finish()
            #expect(passed == expected)
        }
        var none = SecretFilter([])
        #expect(none.pass(text) == text)
    }
}
