/// What a key may do on this seedbox.

enum Role: String, Sendable, CaseIterable {
    /// Everything.
    case control
    /// Watch, and nothing else.
    case read
    /// Move the data of torrents, on connections that carry nothing else.
    case bulk

    /// Whether calls of this procedure are carried out. Whether it exists is another question.
    func permits(_ procedure: String) -> Bool {
        switch self {
        case .control: true
        case .read: procedure == "watch" || procedure == "status"
        case .bulk: procedure == "status" || procedure.hasPrefix("bulk.")
        }
    }
}
