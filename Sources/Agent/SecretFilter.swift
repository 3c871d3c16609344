/// Blots secrets out of a stream of bytes, also where one is cut by the border of two pieces.

/// `transmission-remote --debug` prints the request headers, which carry the password.
struct SecretFilter: Sendable {
    private let secrets: [[UInt8]]
    private var held: [UInt8] = []

    /// A secret shorter than this is not looked for: it would blot out half of any output and hide nothing.
    static let shortest = 4

    init(_ secrets: [String]) {
        self.secrets = secrets.map { Array($0.utf8) }.filter { $0.count >= Self.shortest }
            .sorted { $0.count > $1.count }
    }

    /// What may pass now. What could be the beginning of a secret is held until more comes.
    mutating func pass(_ bytes: [UInt8]) -> [UInt8] {
        guard !secrets.isEmpty else { return bytes }
        let text = held + bytes
        var passed: [UInt8] = []
        passed.reserveCapacity(text.count)
        var place = 0
        while place < text.count {
            if let secret = secrets.first(where: { text[place...].starts(with: $0) }) {
                passed += repeatElement(UInt8(ascii: "*"), count: 8)
                place += secret.count
                continue
            }
            let rest = text[place...]
            if secrets.contains(where: { $0.count > rest.count && $0.starts(with: rest) }) { break }
            passed.append(text[place])
            place += 1
        }
        held = Array(text[place...])
        return passed
    }

    /// The rest, when nothing more comes.
    mutating func finish() -> [UInt8] {
        defer { held = [] }
        return held
    }
}
