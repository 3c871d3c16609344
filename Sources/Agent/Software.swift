/// What this program is called.

enum Software {
    static let version = "0.1.0"
    static let name = "farseed-agent \(version)"
}
