/// Publishes what the mirrors know over WAMP and HTTP (`Docs/Subscriptions.md`).
import Notation
import Seedbox
import WAMP
import Web

struct Publisher: Sendable {
    let realm: Realm
    private let labels = LabelBook()
    /// How many past states of a link can be asked for.
    private static let linkHistory = 100

    init(realm: Realm) { self.realm = realm }

    /// Tells those who subscribe of a change. Called in the order of the changes, and returns at once.
    func publish(_ change: BoxMirror.Change, of box: String, _ view: BoxMirror.View) {
        switch change {
        case .torrents(let delta):
            let position = view.table.position.map
            realm.publish("farseed.\(box).torrents", .map(position.merging(delta.map) { old, _ in old }))
            for (scope, part) in labels.parts(of: delta, of: box, view.table, for: realm.guests.all) {
                realm.publish("farseed.\(box).torrents.\(scope)", .map(position.merging(part.map) { old, _ in old }))
            }
        case .session: realm.publish("farseed.\(box).session", ["figures": .map(view.session)])
        case .host: realm.publish("farseed.\(box).host", ["figures": .map(view.host)])
        case .link: realm.publish("farseed.link.\(box)", view.link.value)
        case .daemon: break
        }
    }

    /// Gives the topics of every box their states, and offers the procedures.
    func offer(_ mirrors: [BoxMirror]) {
        let names = mirrors.map(\.name)
        realm.register("farseed.boxes") { call in
            let boxes = names.map { name -> Value in
                guard let labels = call.labels else { return ["name": .string(name)] }
                let topic = "farseed.\(name).torrents.\(GuestScopes.name(of: labels))"
                return ["name": .string(name), "torrents": .string(topic)]
            }
            return ["boxes": .array(boxes)]
        }
        for mirror in mirrors {
            let name = mirror.name
            realm.retain("farseed.\(name).torrents") { _ in mirror.view.full }
            let guests = "farseed.\(name).torrents."
            realm.retain(guests, match: .prefix) { [scopes = realm.guests] topic in
                scopes.labels(of: String(topic.dropFirst(guests.count))).map(mirror.view.full(of:))
            }
            realm.retain("farseed.\(name).session") { _ in ["figures": .map(mirror.view.session)] }
            realm.retain("farseed.\(name).host") { _ in ["figures": .map(mirror.view.host)] }
            realm.retain("farseed.link.\(name)", history: Self.linkHistory) { _ in mirror.view.link.value }
            realm.register("farseed.\(name).sync") { call in
                call.labels.map(mirror.view.full(of:)) ?? mirror.view.full
            }
        }
    }
}

extension BoxMirror.View {
    /// All torrents with the position they stand at.
    var full: Value { full { _ in true } }

    /// The torrents that have one of the labels, with the position.
    func full(of labels: [String]) -> Value {
        let wanted = Set(labels)
        return full { !wanted.isDisjoint(with: $0.labels) }
    }

    private func full(_ isShown: (Torrent) -> Bool) -> Value {
        var torrents: [String: Value] = [:]
        for (hash, torrent) in table.torrents where isShown(torrent) { torrents[hash.hex] = .map(torrent.fields) }
        return .map(table.position.map.merging(["full": .map(torrents)]) { old, _ in old })
    }
}

extension Torrent {
    var labels: [String] { self[.labels].array?.compactMap(\.string) ?? [] }
}

extension Position {
    fileprivate var map: [String: Value] { ["epoch": .int(epoch), "seq": .int(seq)] }
}
