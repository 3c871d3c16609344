/// What a key may do on this seedbox.

enum Role: String, Sendable, CaseIterable {
    /// Everything.
    case control
    /// Watch, and nothing else.
    case read
    /// Ask how things stand: data of torrents are moved another way.
    case bulk

    /// Whether calls of this procedure are carried out. Whether it exists is another question.
    func permits(_ procedure: String) -> Bool {
        switch self {
        case .control: true
        case .read: ["watch", "status", "pace"].contains(procedure)
        case .bulk: procedure == "status"
        }
    }
}
