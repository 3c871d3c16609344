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
}
