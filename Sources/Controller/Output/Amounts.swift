/// Numbers as people read them: bytes, rates, times to go, ratios.
import Foundation

enum Amounts {
    private static let units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"]

    /// Decimal units, three digits at most: `0 B`, `999 B`, `1.5 kB`, `12.3 GB`, `345 TB`.
    static func bytes(_ count: Int64) -> String {
        var amount = Double(max(0, count))
        var unit = 0
        // 999.5 would be written as 1000.
        while amount >= (unit == 0 ? 1000 : 999.5), unit < units.count - 1 {
            amount /= 1000
            unit += 1
        }
        if unit == 0 { return "\(Int64(amount)) B" }
        return (amount < 99.95 ? fixed(amount, 1) : fixed(amount, 0)) + " " + units[unit]
    }

    /// Empty where nothing flows, so that what moves stands out.
    static func rate(_ perSecond: Int64) -> String { perSecond <= 0 ? "" : bytes(perSecond) + "/s" }

    /// Two units at most: `45s`, `3m 20s`, `2h 5m`, `4d 3h`, `1y 20d`.
    static func duration(_ seconds: Int64) -> String {
        let seconds = max(0, seconds)
        let steps: [(unit: String, size: Int64)] = [("y", 31_536_000), ("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)]
        guard let first = steps.firstIndex(where: { seconds >= $0.size }) else { return "0s" }
        let head = "\(seconds / steps[first].size)\(steps[first].unit)"
        guard first + 1 < steps.count else { return head }
        let rest = seconds % steps[first].size / steps[first + 1].size
        return rest == 0 ? head : "\(head) \(rest)\(steps[first + 1].unit)"
    }

    /// Empty for -1 (not available), `∞` for -2, as Transmission counts.
    static func eta(_ seconds: Int64) -> String {
        switch seconds {
        case 0...: duration(seconds)
        case -2: "∞"
        default: ""
        }
    }

    static func ratio(_ ratio: Double) -> String {
        switch ratio {
        case -2: "∞"
        case ..<0: ""
        case ..<100: fixed(ratio, 2)
        case ..<1e6: fixed(ratio, 0)
        default: "∞"
        }
    }

    /// Rounded down, so that 100 % means all of it.
    static func percent(_ fraction: Double) -> String {
        guard fraction.isFinite else { return "" }
        return "\(Int(min(1, max(0, fraction)) * 100)) %"
    }

    /// `width` columns, in eighths.
    static func bar(_ fraction: Double, width: Int) -> String {
        let fraction = fraction.isFinite ? min(1, max(0, fraction)) : 0
        let eighths = Int(fraction * Double(width * 8))
        let full = eighths / 8
        let part = full < width ? ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8] : ""
        let rest = width - full - (part.isEmpty ? 0 : 1)
        return String(repeating: "█", count: full) + part + String(repeating: "░", count: rest)
    }

    /// Minutes of local time: `2025-11-24 05:23`; empty for 0 (never).
    static func time(_ unix: Int64, zone: TimeZone = .current) -> String {
        guard unix > 0, unix < 253_402_300_800 else { return "" }
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = zone
        let parts = calendar.dateComponents(
            [.year, .month, .day, .hour, .minute],
            from: Date(timeIntervalSince1970: Double(unix))
        )
        func two(_ number: Int?) -> String { number.map { $0 < 10 ? "0\($0)" : "\($0)" } ?? "" }
        return "\(parts.year ?? 0)-\(two(parts.month))-\(two(parts.day)) \(two(parts.hour)):\(two(parts.minute))"
    }

    static func fixed(_ number: Double, _ digits: Int) -> String {
        String(format: "%.\(digits)f", locale: nil, number)
    }
}
