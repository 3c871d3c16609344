/// Tells from a program's first bytes where it runs; pure.

/// What the head of an ELF file says (System V ABI, chapter 4); a file that is none says nothing.
struct ELFHead: Sendable, Equatable {
    /// As `uname -m` says it; nil where it is not known.
    private(set) var machine: String?
    /// True for a file that names a loader, which brings in its libraries.
    private(set) var needsLoader = false

    private static let loader = 3
    private static let machines = [62: "x86_64", 183: "aarch64"]

    init(_ bytes: [UInt8]) {
        // 64 bits, little-endian: what Linux servers are.
        guard bytes.count >= 64, bytes.starts(with: [0x7F, 0x45, 0x4C, 0x46, 2, 1]) else { return }
        func number(_ offset: Int, _ width: Int) -> Int {
            (0..<width).reduce(0) { $0 | Int(bytes[offset + $1]) << (8 * $1) }
        }
        machine = Self.machines[number(18, 2)]
        let (start, size, count) = (number(32, 4), number(54, 2), number(56, 2))
        for index in 0..<count {
            let entry = start + index * size
            guard entry + 4 <= bytes.count else { return }
            if number(entry, 4) == Self.loader { needsLoader = true }
        }
    }
}
