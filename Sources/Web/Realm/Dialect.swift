/// What a websocket's messages are written in.
import WAMP

enum Dialect: Sendable {
    static let legacySubprotocol = "wamp"

    case current(Serializer)
    /// WAMP v1: lists in JSON, translated.
    case legacy

    init?(subprotocol: String) {
        if subprotocol == Self.legacySubprotocol {
            self = .legacy
        } else if let serializer = Serializer(subprotocol: subprotocol) {
            self = .current(serializer)
        } else {
            return nil
        }
    }

    var isLegacy: Bool { if case .legacy = self { true } else { false } }

    var isBinary: Bool {
        switch self {
        case .current(let serializer): serializer.isBinary
        case .legacy: false
        }
    }
}
