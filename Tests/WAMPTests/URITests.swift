/// URIs, patterns and permissions.
import Testing

@testable import WAMP

@Suite struct URITests {
    @Test(
        "Loose URIs",
        arguments: [
            ("a", true), ("com.myapp.topic1", true), ("com.my-app.Ünï", true), ("", false), (".a", false),
            ("a.", false),
            ("a..b", false), ("a b", false), ("a#b", false), ("a\u{2003}b", false), ("a\n", false),
            (String(repeating: "a", count: 1_024), true), (String(repeating: "a", count: 1_025), false),
        ]
    )
    func loose(uri: String, allowed: Bool) { #expect(URIRule.loose.allows(uri) == allowed) }

    @Test(
        "Strict URIs",
        arguments: [
            ("com.my_app.topic1", true), ("com.myApp", false), ("com.my-app", false), ("a..b", false), ("ü", false),
        ]
    )
    func strict(uri: String, allowed: Bool) { #expect(URIRule.strict.allows(uri) == allowed) }

    @Test("Patterns may have empty components", arguments: ["com..x", "com.", ".x", "", "..", "com.x"])
    func patterns(uri: String) {
        #expect(URIRule.loose.allows(URIPattern(uri, .wildcard)))
        #expect(URIRule.loose.allows(URIPattern(uri, .prefix)))
    }

    @Test(
        "Patterns match",
        arguments: [
            ("com.a", .exact, "com.a", true), ("com.a", .exact, "com.a.b", false),
            ("com.a", .prefix, "com.a", true), ("com.a", .prefix, "com.ab", true),
            ("com.a", .prefix, "com.a.b.c", true),
            ("com.a", .prefix, "com", false), ("com..u", .wildcard, "com.x.u", true),
            ("com..u", .wildcard, "com.x.y.u", false),
            ("com..u", .wildcard, "com.x.v", false), ("com.a.", .wildcard, "com.a.b", true),
            ("..", .wildcard, "a.b.c", true),
            ("..", .wildcard, "a.b", false), ("", .wildcard, "a", true), ("", .prefix, "a.b", true),
        ] as [(String, Match, String, Bool)]
    )
    func matches(uri: String, match: Match, concrete: String, expected: Bool) {
        #expect(URIPattern(uri, match).matches(concrete) == expected)
    }

    @Test(
        "A pattern covers another only if it covers all that the other can match",
        arguments: [
            ("a.", .prefix, "a.b", .exact, true), ("a.", .prefix, "a.b", .prefix, true),
            ("a.b", .prefix, "a.", .prefix, false),
            ("a.", .prefix, "a..c", .wildcard, true), ("a.b", .prefix, "a..c", .wildcard, false),
            ("a.", .prefix, "..c", .wildcard, false), ("", .prefix, "..c", .wildcard, true),
            ("a", .prefix, "a.b", .wildcard, true),
            ("a", .exact, "a", .prefix, false), ("a", .exact, "a", .exact, true), ("a", .exact, "a", .wildcard, false),
            ("a..c", .wildcard, "a.b.c", .exact, true), ("a..c", .wildcard, "a.b.c", .wildcard, true),
            ("a..c", .wildcard, "a..c", .wildcard, true), ("a.b.c", .wildcard, "a..c", .wildcard, false),
            ("a..c", .wildcard, "a.b.c", .prefix, false), ("a.", .prefix, "a.b.", .wildcard, true),
            ("a.b.", .prefix, "a.b.", .wildcard, true), ("a.b.c", .prefix, "a.b.", .wildcard, false),
        ] as [(String, Match, String, Match, Bool)]
    )
    func covers(uri: String, match: Match, other: String, otherMatch: Match, expected: Bool) {
        #expect(URIPattern(uri, match).covers(URIPattern(other, otherMatch)) == expected)
    }

    @Test("Nothing is allowed that is not listed")
    func permissions() {
        let table = TestRealm.permissions
        #expect(table.allows(.subscribe, URIPattern("farseed.vps.torrents"), role: "viewer"))
        #expect(!table.allows(.publish, URIPattern("farseed.vps.torrents"), role: "viewer"))
        #expect(!table.allows(.subscribe, URIPattern("other"), role: "viewer"))
        #expect(!table.allows(.subscribe, URIPattern("", .prefix), role: "viewer"))
        #expect(!table.allows(.subscribe, URIPattern("farseed", .prefix), role: "viewer"))
        #expect(table.allows(.subscribe, URIPattern("farseed.", .prefix), role: "viewer"))
        #expect(!table.allows(.subscribe, URIPattern("wamp.session.on_join"), role: "viewer"))
        #expect(!table.allows(.subscribe, URIPattern("farseed.vps.torrents"), role: "nobody"))
    }

    /// The specification's own fifth example takes `a1.b2.c3` for no prefix of `a1.b2.c33`, against its definition of
    /// prefixes as strings a page before; the definition stands, as in other routers.
    @Test(
        "The examples of the specification find their registration",
        arguments: [
            ("a1.b2.c3.d4.e55", 1), ("a1.b2.c3.d98.e74", 2), ("a1.b2.c3.d4.e325", 3), ("a1.b2.c55.d4.e5", 4),
            ("a1.b2.x33.d4.e5", 5), ("a1.b2.c33.d4.e5", 2), ("a1.b2.c88.d4.e5.f6.g7", 6), ("a2.b2.c2.d2.e2", nil),
        ] as [(String, Int64?)]
    )
    func best(uri: String, id: Int64?) {
        var index = PatternIndex()
        index.insert(URIPattern("a1.b2.c3.d4.e55"), 1)
        index.insert(URIPattern("a1.b2.c3", .prefix), 2)
        index.insert(URIPattern("a1.b2.c3.d4", .prefix), 3)
        index.insert(URIPattern("a1.b2..d4.e5", .wildcard), 4)
        index.insert(URIPattern("a1.b2.x33..e5", .wildcard), 5)
        index.insert(URIPattern("a1.b2..d4.e5..g7", .wildcard), 6)
        index.insert(URIPattern("a1.b2..d4..f6.g7", .wildcard), 7)
        #expect(index.best(uri) == id)
    }
}
