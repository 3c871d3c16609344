/// Reads /proc: what HOST-RESOURCES-MIB would say of this machine.

import Glibc
import Notation

enum HostFacts {
    /// Figures that need no second look. They are rounded so that noise is no news.
    static func read(_ proc: String = "/proc") -> [String: Value] {
        var figures: [String: Value] = [:]
        if let words = SmallFile.text(proc + "/loadavg")?.split(separator: " "), words.count >= 3 {
            for (key, word) in zip(["load_1", "load_5", "load_15"], words) {
                if let load = Double(word) { figures[key] = .double((load * 10).rounded() / 10) }
            }
        }
        let memory = table(proc + "/meminfo")
        for (key, name) in [("memory_total", "MemTotal"), ("swap_total", "SwapTotal")] {
            if let kilobytes = memory[name] { figures[key] = .int(kilobytes * 1024) }
        }
        for (key, name) in [("memory_free", "MemAvailable"), ("swap_free", "SwapFree")] {
            if let kilobytes = memory[name] { figures[key] = .int((kilobytes * 1024) & ~((16 << 20) - 1)) }
        }
        figures["cpus"] = .int(Int64(max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))))
        if let line = SmallFile.text(proc + "/stat", limit: 1 << 20)?.split(separator: "\n")
            .first(where: { $0.hasPrefix("btime ") }), let time = Int64(line.dropFirst(6))
        {
            figures["booted_at"] = .int(time)
        }
        return figures
    }

    /// `Name: 123 kB` lines.
    private static func table(_ path: String) -> [String: Int64] {
        var table: [String: Int64] = [:]
        for line in (SmallFile.text(path) ?? "").split(separator: "\n") {
            let words = line.split(whereSeparator: { $0 == " " || $0 == ":" })
            if words.count >= 2, let number = Int64(words[1]) { table[String(words[0])] = number }
        }
        return table
    }
}

/// Counters that only mean something by their difference.
struct HostCounters: Sendable, Hashable {
    /// Microseconds on a steady clock.
    var time: Int64
    var busy: Int64
    var ticks: Int64
    var received: Int64
    var sent: Int64

    static let rateKeys = ["cpu", "net_down", "net_up"]

    static func read(_ proc: String = "/proc") -> HostCounters {
        var clock = timespec()
        clock_gettime(CLOCK_BOOTTIME, &clock)
        let time = Int64(clock.tv_sec) * 1_000_000 + Int64(clock.tv_nsec) / 1000
        let (busy, ticks) = processor(SmallFile.text(proc + "/stat", limit: 1 << 20) ?? "")
        let (received, sent) = network(SmallFile.text(proc + "/net/dev", limit: 1 << 20) ?? "")
        return HostCounters(time: time, busy: busy, ticks: ticks, received: received, sent: sent)
    }

    /// CPU in percent of all processors, network in bytes per second to two digits.
    func rates(since earlier: HostCounters) -> [String: Value] {
        let elapsed = time - earlier.time
        guard elapsed > 0 else { return [:] }
        func rate(_ newer: Int64, _ older: Int64) -> Value {
            guard newer >= older else { return 0 }
            return .int(Self.rounded(Int64(Double(newer - older) * 1_000_000 / Double(elapsed))))
        }
        let share = ticks > earlier.ticks ? Double(busy - earlier.busy) / Double(ticks - earlier.ticks) : 0
        return [
            "cpu": .int(Int64((max(0, min(1, share)) * 100).rounded())),
            "net_down": rate(received, earlier.received),
            "net_up": rate(sent, earlier.sent),
        ]
    }

    /// The first line of /proc/stat: user nice system idle iowait irq softirq steal …
    static func processor(_ text: String) -> (busy: Int64, ticks: Int64) {
        guard let line = text.split(separator: "\n").first, line.hasPrefix("cpu ") else { return (0, 0) }
        let ticks = line.split(separator: " ").dropFirst().prefix(8).map { Int64($0) ?? 0 }
        let all = ticks.reduce(0, &+)
        let idle = ticks.dropFirst(3).prefix(2).reduce(0, &+)
        return (all - idle, all)
    }

    /// /proc/net/dev, without loopback: bytes received are the first column, bytes sent the ninth.
    static func network(_ text: String) -> (received: Int64, sent: Int64) {
        var received: Int64 = 0
        var sent: Int64 = 0
        for line in text.split(separator: "\n") {
            guard let colon = line.firstIndex(of: ":") else { continue }
            let name = line[..<colon].drop { $0 == " " }
            let columns = line[line.index(after: colon)...].split(separator: " ").map { Int64($0) ?? 0 }
            guard name != "lo", columns.count >= 9 else { continue }
            received &+= columns[0]
            sent &+= columns[8]
        }
        return (received, sent)
    }

    private static func rounded(_ number: Int64) -> Int64 {
        var unit: Int64 = 1
        while number / unit >= 100 { unit *= 10 }
        return number / unit * unit
    }
}
