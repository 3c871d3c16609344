/// Publishes what the mirrors know over WAMP and HTTP (`Docs/Subscriptions.md`).
import Notation
import Seedbox
import Web

struct Publisher: Sendable {
    let realm: Realm

    /// Tells those who subscribe of a change. Called in the order of the changes, and returns at once.
    func publish(_ change: BoxMirror.Change, of box: String, _ view: BoxMirror.View) {
        switch change {
        case .torrents(let delta):
            realm.publish("farseed.\(box).torrents", .map(view.table.position.map.merging(delta.map) { old, _ in old }))
        case .session: realm.publish("farseed.\(box).session", ["figures": .map(view.session)])
        case .host: realm.publish("farseed.\(box).host", ["figures": .map(view.host)])
        case .link: realm.publish("farseed.link.\(box)", view.link.value)
        case .daemon: break
        }
    }

    /// Gives the topics of every box their states, and offers the procedures.
    func offer(_ mirrors: [BoxMirror]) {
        let boxes: Value = ["boxes": .array(mirrors.map { ["name": .string($0.name)] })]
        realm.register("farseed.boxes") { _ in boxes }
        for mirror in mirrors {
            let name = mirror.name
            realm.retain("farseed.\(name).torrents") { _ in mirror.view.full }
            realm.retain("farseed.\(name).session") { _ in ["figures": .map(mirror.view.session)] }
            realm.retain("farseed.\(name).host") { _ in ["figures": .map(mirror.view.host)] }
            realm.retain("farseed.link.\(name)") { _ in mirror.view.link.value }
            realm.register("farseed.\(name).sync") { _ in mirror.view.full }
        }
    }
}

extension BoxMirror.View {
    /// All torrents with the position they stand at.
    var full: Value {
        let torrents = table.torrents.map { hash, torrent in (hash.hex, Value.map(torrent.fields)) }
        return .map(
            table.position.map.merging(["full": .map(Dictionary(uniqueKeysWithValues: torrents))]) { old, _ in old }
        )
    }
}

extension Position {
    fileprivate var map: [String: Value] { ["epoch": .int(epoch), "seq": .int(seq)] }
}

/// The web server's view of the mirrors.
struct MirrorAPI: WebAPI {
    let mirrors: [BoxMirror]

    func boxes() async throws -> Value { ["boxes": .array(mirrors.map { ["name": .string($0.name)] })] }

    func torrents(of box: String) async throws -> Value? { mirrors.first { $0.name == box }?.view.full }

    func metrics() async -> String {
        var text = "# HELP farseed_link_live Whether the link to the seedbox is live.\n# TYPE farseed_link_live gauge\n"
        for mirror in mirrors {
            text += "farseed_link_live{box=\"\(mirror.name)\"} \(mirror.view.link.state == "live" ? 1 : 0)\n"
        }
        text += "# HELP farseed_torrents Torrents known at home.\n# TYPE farseed_torrents gauge\n"
        for mirror in mirrors {
            text += "farseed_torrents{box=\"\(mirror.name)\"} \(mirror.view.table.torrents.count)\n"
        }
        return text
    }
}
