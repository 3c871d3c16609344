/// What is asked of an agent only while somebody looks at one torrent: `farseed.<box>.torrent.get`.
import Calls
import Foundation
import Notation
import Seedbox
import WAMP
import Web

struct DetailDesk: Sendable {
    let boxes: [Box]

    /// Whoever looks at a page sees that the link is down; the question is not kept for later.
    private static let patience = Duration.seconds(5)

    func offer(to realm: Realm) {
        for box in boxes {
            realm.register("farseed.\(box.name).torrent.get") { call in
                try await RealmError.telling {
                    let connection = try await box.connection(within: Self.patience)
                    return Self.shown(try await connection.call("torrent.get", .map(call.payload.kwargs)))
                }
            }
        }
    }

    /// Without the paths of announce addresses: private trackers put the user's passkey there.
    static func shown(_ answer: Value) -> Value {
        guard var map = answer.map, let trackers = map["trackers"]?.array else { return answer }
        map["trackers"] = .array(
            trackers.map { tracker in
                guard var entry = tracker.map else { return .null }
                entry["announce"] = .string(server(of: entry["announce"]?.string ?? ""))
                return .map(entry)
            }
        )
        return .map(map)
    }

    /// Scheme, host and port.
    private static func server(of address: String) -> String {
        guard let mark = address.range(of: "://") else { return "" }
        let rest = address[mark.upperBound...].prefix { !"/?#".contains($0) }
        // A name and password would stand before the host.
        return String(address[..<mark.upperBound]) + (rest.split(separator: "@").last ?? "")
    }
}
