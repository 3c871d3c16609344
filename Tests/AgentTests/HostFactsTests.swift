import Notation
import Testing

@testable import Agent

@Suite struct HostFactsTests {
    @Test func `the processor's line is split into busy and all`() {
        let text = "cpu  100 5 20 800 75 0 3 2 0 0\ncpu0 1 2 3\nbtime 1700000000\n"
        let (busy, ticks) = HostCounters.processor(text)
        #expect(ticks == 1005)
        #expect(busy == 130)
        #expect(HostCounters.processor("").ticks == 0)
        #expect(HostCounters.processor("cpu x y").ticks == 0)
    }

    @Test func `loopback is no network`() {
        let text = """
            Inter-|   Receive                                                |  Transmit
             face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
                lo: 999 1 0 0 0 0 0 0 999 1 0 0 0 0 0 0
              eth0: 100 1 0 0 0 0 0 0 200 1 0 0 0 0 0 0
             wlan0:11 1 0 0 0 0 0 0 22 1 0 0 0 0 0 0
            """
        let (received, sent) = HostCounters.network(text)
        #expect(received == 111)
        #expect(sent == 222)
    }

    @Test func `rates are per second and rounded to two digits`() {
        let before = HostCounters(time: 0, busy: 0, ticks: 0, received: 0, sent: 1000)
        let after = HostCounters(time: 2_000_000, busy: 50, ticks: 200, received: 24_690, sent: 0)
        #expect(after.rates(since: before) == ["cpu": 25, "net_down": 12_000, "net_up": 0])
        #expect(before.rates(since: after).isEmpty)
    }

    @Test func `this machine has memory and a disk`() {
        let facts = HostFacts.read()
        #expect((facts["memory_total"]?.int ?? 0) > 1 << 20)
        #expect((facts["booted_at"]?.int ?? 0) > 1_000_000_000)
        let disks = Disk.all(holding: ["/", "/proc/self", "/does/not/exist", "relative"])
        #expect(disks.contains { $0.directory == "/" && $0.total > 0 })
        #expect(!disks.contains { $0.directory == "/does/not/exist" })
    }
}
