import Foundation
import Logging
import NIOPosix
import Notation
import Testing
import Transmission

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

    /// As Debian 12 writes them, cut to what is read and a little more.
    private static let recorded = [
        "loadavg": "0.52 1.28 3.97 2/345 9876\n",
        "meminfo": """
        MemTotal:        2030436 kB
        MemFree:          118116 kB
        MemAvailable:    1264188 kB
        SwapTotal:       1048572 kB
        SwapFree:         917504 kB
        HugePages_Total:       0

        """,
        "stat": """
        cpu  1500 20 300 80000 700 0 30 50 0 0
        cpu0 750 10 150 40000 350 0 15 25 0 0
        intr 123456 0 9
        btime 1764000000
        processes 9876

        """,
        "net/dev": """
        Inter-|   Receive                                                |  Transmit
         face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
            lo: 5000 10 0 0 0 0 0 0 5000 10 0 0 0 0 0 0
          eth0: 1000000 900 0 0 0 0 0 0 2000000 800 0 0 0 0 0 0

        """,
    ]

    private func record(_ temporary: TemporaryDirectory) throws {
        try FileManager.default.createDirectory(atPath: temporary.path + "/net", withIntermediateDirectories: true)
        for (name, text) in Self.recorded { _ = try temporary.write(name, text) }
    }

    @Test func `a recorded machine is read`() throws {
        let temporary = try TemporaryDirectory()
        try record(temporary)
        var facts = HostFacts.read(temporary.path)
        #expect((facts.removeValue(forKey: "cpus")?.int ?? 0) > 0)
        #expect(
            facts == [
                "load_1": 0.5, "load_5": 1.3, "load_15": 4.0, "memory_total": 2_079_166_464,
                "memory_free": 1_291_845_632, "swap_total": 1_073_737_728, "swap_free": 939_524_096,
                "booted_at": 1_764_000_000,
            ]
        )
        let counters = HostCounters.read(temporary.path)
        #expect([counters.busy, counters.ticks] == [1900, 82_600])
        #expect([counters.received, counters.sent] == [1_000_000, 2_000_000])
        #expect(HostFacts.read("/nowhere").keys.sorted() == ["cpus"])
    }

    @Test(.timeLimit(.minutes(1))) func `figures are pushed when they change, and only then`() async throws {
        let temporary = try TemporaryDirectory()
        try record(temporary)
        let nowhere = RPCConfiguration(url: "http://127.0.0.1:1")!
        let client = RPCClient(nowhere, group: MultiThreadedEventLoopGroup.singleton)
        let source = TorrentSource(client: client, epoch: 1)
        let keeper = DiskKeeper(
            source: source,
            configuration: .init(),
            verbs: Verbs(client: client),
            state: nil,
            logger: Logger(label: "test")
        )
        let monitor = HostMonitor(
            source: source,
            diskGuard: keeper,
            proc: temporary.path,
            patience: .milliseconds(10)
        )
        let bell = Wakeup()
        let running = Task { await monitor.run() }
        _ = monitor.subscribe(bell)
        while monitor.figures == nil { await bell.wait() }
        let before = try #require(monitor.figures)
        #expect(before.figures["load_1"] == 0.5)
        // Looks at the same machine, until one at another.
        for _ in 0..<20 {
            monitor.audienceChanged()
            try await Task.sleep(for: .milliseconds(5))
        }
        _ = try temporary.write("loadavg", "7.00 1.28 3.97 2/345 9876\n")
        monitor.audienceChanged()
        while monitor.figures?.figures["load_1"] != 7.0 { await bell.wait() }
        // Once a second the rates may be told, which were not known at first.
        #expect((1...2).contains((monitor.figures?.version ?? 0) - before.version))
        running.cancel()
        await running.value
    }

    @Test func `this machine has memory and a disk`() {
        let facts = HostFacts.read()
        #expect((facts["memory_total"]?.int ?? 0) > 1 << 20)
        #expect((facts["booted_at"]?.int ?? 0) > 1_000_000_000)
        let disks = Disk.all(holding: ["/", "/proc/self", "/does/not/exist", "relative"])
        #expect(disks.contains { $0.directory == "/" && $0.total > 0 })
        #expect(!disks.contains { $0.directory == "/does/not/exist" })
    }

    @Test func `a disk is found behind any number of directories on another`() throws {
        let temporary = try TemporaryDirectory()
        let directories = (0..<300).map { "\(temporary.path)/\($0)" }
        for directory in directories { try #require(mkdir(directory, 0o700) == 0) }
        // The longest, which comes last.
        let other = "/proc/" + String(repeating: "./", count: 150)
        let disks = Disk.all(holding: Set(directories + [other]))
        #expect(disks.map(\.directories.count) == [300, 1])
        #expect(disks.last?.directory == other)
    }
}
