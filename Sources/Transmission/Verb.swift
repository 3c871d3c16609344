/// Everything that Transmission can be told to do, by the name of its procedure.

package enum Verb: String, Sendable, CaseIterable {
    case add = "torrent.add"
    case start = "torrent.start"
    case startNow = "torrent.start_now"
    case stop = "torrent.stop"
    case verify = "torrent.verify"
    case reannounce = "torrent.reannounce"
    case remove = "torrent.remove"
    case move = "torrent.move"
    case rename = "torrent.rename"
    case set = "torrent.set"
    case queue = "torrent.queue"
    case details = "torrent.get"
    case sessionGet = "session.get"
    case sessionSet = "session.set"
    case statistics = "session.stats"
    case freeSpace = "session.free_space"
    case portTest = "session.port_test"
    case blocklistUpdate = "session.blocklist_update"

    /// Whether it changes anything, so that a repetition must be told from a second command.
    package var changes: Bool {
        switch self {
        case .details, .sessionGet, .statistics, .freeSpace, .portTest: false
        default: true
        }
    }
}
