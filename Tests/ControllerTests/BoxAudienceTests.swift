import Testing

@testable import Controller

@Suite("Whether anybody looks at a seedbox")
struct BoxAudienceTests {
    private static let linger = BoxAudience.linger

    @Test("nobody looks at the beginning")
    func beginning() {
        let audience = BoxAudience()
        #expect(!audience.isLooking(at: 0))
        #expect(audience.rests(after: 0) == nil)
    }

    @Test("a subscriber looks until some seconds after it left, a second one later as long as the first")
    func subscribers() {
        var audience = BoxAudience()
        audience.subscribed(true, at: 5)
        #expect(audience.isLooking(at: 1_000_000))
        #expect(audience.rests(after: 1_000_000) == nil)
        audience.subscribed(false, at: 1_000_000)
        #expect(audience.rests(after: 1_000_001) == 1_000_000 + Self.linger)
        #expect(audience.isLooking(at: 1_000_000 + Self.linger - 1))
        #expect(!audience.isLooking(at: 1_000_000 + Self.linger))
        #expect(audience.rests(after: 1_000_000 + Self.linger) == nil)
    }

    @Test("that nobody subscribes is no look")
    func noSubscribers() {
        var audience = BoxAudience()
        audience.subscribed(false, at: 5)
        #expect(!audience.isLooking(at: 6))
    }

    @Test("commands are counted, and outlast a page")
    func commands() {
        var audience = BoxAudience()
        audience.subscribed(true, at: 0)
        audience.commandCame()
        audience.commandCame()
        audience.subscribed(false, at: 1)
        audience.commandLeft(at: 2)
        #expect(audience.isLooking(at: 1_000_000))
        #expect(audience.rests(after: 3) == nil)
        audience.commandLeft(at: 1_000_000)
        #expect(audience.rests(after: 1_000_000) == 1_000_000 + Self.linger)
    }

    @Test("one question counts for some seconds, the next from then on")
    func glances() {
        var audience = BoxAudience()
        audience.glanced(at: 0)
        audience.glanced(at: 7_000)
        #expect(audience.isLooking(at: Self.linger + 6_000))
        #expect(audience.rests(after: 8_000) == 7_000 + Self.linger)
    }
}
