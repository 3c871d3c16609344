import Testing

@testable import Transmission

@Suite struct WatchAudienceTests {
    @Test func `nobody looks before somebody watches`() {
        var audience = WatchAudience()
        _ = audience.connected()
        #expect(!audience.isLooking)
    }

    @Test func `who watches looks until it is said otherwise, and again when that is taken back`() {
        var audience = WatchAudience()
        let connection = audience.connected()
        let watcher = audience.joined(on: connection)
        #expect(audience.isLooking)
        audience.said(false, on: connection)
        #expect(!audience.isLooking)
        // Another watch on the same connection is seen by the same people.
        _ = audience.joined(on: connection)
        #expect(!audience.isLooking)
        audience.said(true, on: connection)
        #expect(audience.isLooking)
        audience.left(watcher)
        #expect(audience.isLooking)
    }

    @Test func `one connection speaks for itself only`() {
        var audience = WatchAudience()
        let (one, two) = (audience.connected(), audience.connected())
        _ = audience.joined(on: one)
        _ = audience.joined(on: two)
        audience.said(false, on: one)
        #expect(audience.isLooking)
        audience.said(false, on: two)
        #expect(!audience.isLooking)
        _ = audience.joined(on: nil)
        #expect(audience.isLooking)
    }

    @Test func `a connection that ends takes its watchers with it`() {
        var audience = WatchAudience()
        let connection = audience.connected()
        _ = audience.joined(on: connection)
        audience.disconnected(connection)
        #expect(!audience.isLooking)
        _ = audience.joined(on: audience.connected())
        #expect(audience.isLooking)
    }
}
