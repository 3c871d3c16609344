import Notation
import Testing

@testable import Transmission

@Suite struct NameRepairTests {
    @Test(arguments: [
        ("\u{1F9C}5 onion", true), ("plain", false), ("中5文", true), ("中文", false), ("😀a", true), ("\u{FFFD}", true),
        ("été 2024", false), ("", false),
    ])
    func `names that 3_00 may have broken are suspected`(_ name: String, _ isSuspicious: Bool) {
        #expect(NameRepair.isSuspicious(name) == isSuspicious)
    }

    @Test(arguments: [
        ("magnet:?xt=urn:btih:aa&dn=%F0%9F%A7%85%20onion&tr=x", "🧅 onion"),
        ("magnet:?dn=a+b", "a b"), ("magnet:?xt=1", nil), ("magnet:?dn=%F0%9F", nil), ("magnet:?dn=%G0", nil),
        ("magnet:?dn=%", nil), ("magnet", nil), ("magnet:?dn=two%0Alines", "two\nlines"),
    ])
    func `the exact name stands in the magnet link`(_ link: String, _ name: String?) {
        #expect(NameRepair.name(inMagnet: link) == name)
    }

    @Test(arguments: ["🧅", "film 🎬 2026", "plain", "ελληνικά", "👩‍💻a1", ""])
    func `a label that 3_00 wrecks is known again`(_ label: String) {
        #expect(NameRepair.label(from: NameRepair.wreck(of: label)) == label)
    }

    @Test func `the wreck is what 3_00 writes`() {
        #expect(NameRepair.wreck(of: "🧅") == "\u{1F9C}5")
    }

    @Test func `a wrecked label confirms what was asked`() {
        #expect(Verbs.isEqual(["\u{1F9C}5"], ["🧅"]))
        #expect(!Verbs.isEqual(["\u{1F9C}6"], ["🧅"]))
    }
}
