/// A Transmission in this process that keeps torrents and settings, and does what it is told or only says so.

package import Notation
package import Seedbox
import Synchronization
package import Transmission

package final class ScriptedTransmission: Sendable {
    package enum Conduct: Sendable {
        case honest
        /// Answers every command with `success` and does nothing, but that it adds torrents without their settings.
        case idle
        /// Answers besides as if it had added, renamed and fetched.
        case lying
        /// As `idle`, while somebody else adds a torrent to the head of the queue.
        case crowded
    }

    package static let first = InfoHash(String(repeating: "a", count: 40))!
    package static let second = InfoHash(String(repeating: "b", count: 40))!
    /// Of whatever is added.
    package static let added = InfoHash(String(repeating: "c", count: 40))!

    private let script: Script
    private let daemon: FakeDaemon

    package var configuration: RPCConfiguration { daemon.configuration }

    /// The commands that would change something, in their order.
    package var commands: [String] { script.state.withLock(\.commands) }
    package var requests: Int { daemon.seen.count }
    /// What the commands among the requests named; nil where one named no torrents.
    package var targets: [[Value]?] {
        daemon.seen.compactMap { request in
            let method = request.body["method"]?.string ?? ""
            guard !Self.questions.contains(method) else { return nil }
            return .some(request.body["arguments"]?["ids"].map { $0.array ?? [$0] })
        }
    }
    private static let questions: Set<String> = ["torrent-get", "session-get", "session-stats"]

    /// Everything about a torrent.
    package func torrent(_ hash: InfoHash) -> [String: Value]? { script.state.withLock { $0.torrents[hash.hex] } }

    /// Two torrents of two files each; the first is in the state `status`, has a tracker, changed within the last minute
    /// where it `isRecent`, and else is as `fields` say.
    package init(
        _ conduct: Conduct,
        status: Int64 = 0,
        isRecent: Bool = false,
        fields: [String: Value] = [:]
    ) async throws {
        let script = Script(status, isRecent, fields)
        daemon = try await FakeDaemon { _, request in
            .ok(JSON.text(["result": "success", "arguments": script.answer(request.body, conduct)]))
        }
        self.script = script
    }

    package func stop() async throws { try await daemon.stop() }
}

private final class Script: Sendable {
    struct State {
        var torrents: [String: [String: Value]] = [:]
        var session = Script.settings
        var recent: Set<String> = []
        var commands: [String] = []
    }

    let state = Mutex(State())

    init(_ status: Int64, _ isRecent: Bool, _ fields: [String: Value]) {
        state.withLock { state in
            let first = Self.torrent(ScriptedTransmission.first, 1, status).merging(fields) { _, new in new }
            state.torrents[ScriptedTransmission.first.hex] = first
            if isRecent { state.recent = [ScriptedTransmission.first.hex] }
            state.torrents[ScriptedTransmission.second.hex] = Self.torrent(ScriptedTransmission.second, 2, 0)
        }
    }

    func answer(_ request: Value, _ conduct: ScriptedTransmission.Conduct) -> Value {
        let (method, arguments) = (request["method"]?.string ?? "", request["arguments"] ?? [:])
        return state.withLock { state in
            switch method {
            case "torrent-get": return Self.rows(arguments, state)
            case "session-get": return .map(state.session)
            case "session-stats": return ["torrentCount": .int(Int64(state.torrents.count))]
            default: break
            }
            state.commands.append(method)
            switch (conduct, method) {
            case (.honest, _): return Self.obey(method, arguments, &state)
            case (.idle, "torrent-add"): return Self.add([:], &state)
            case (.lying, "torrent-add"):
                return ["torrent-added": ["hashString": .string(ScriptedTransmission.added.hex), "id": 3, "name": "x"]]
            case (.lying, "torrent-rename-path"): return arguments
            case (.lying, "blocklist-update"): return ["blocklist-size": 7]
            case (.crowded, _):
                let other = ScriptedTransmission.added
                state.torrents[other.hex] = Self.torrent(other, -1, 0)
                return [:]
            case (.idle, _), (.lying, _): return [:]
            }
        }
    }

    private static func rows(_ arguments: Value, _ state: State) -> Value {
        let fields = arguments["fields"]?.array?.compactMap(\.string) ?? []
        let wanted: [String] =
            switch arguments["ids"] {
            case .array(let ids): ids.compactMap(\.string)
            case .string: Array(state.recent)
            default: Array(state.torrents.keys)
            }
        let torrents = wanted.compactMap { state.torrents[$0] }
        guard arguments["format"] == "table" else {
            let maps = torrents.map { torrent in Value.map(torrent.filter { fields.contains($0.key) }) }
            return ["torrents": .array(maps)]
        }
        let table = torrents.map { torrent in Value.array(fields.map { torrent[$0] ?? .null }) }
        return ["torrents": .array([.array(fields.map { .string($0) })] + table), "removed": []]
    }

    private static func obey(_ method: String, _ arguments: Value, _ state: inout State) -> Value {
        let named = arguments["ids"]?.array?.compactMap(\.string) ?? []
        func change(_ body: (inout [String: Value]) -> Void) {
            for hash in named where state.torrents[hash] != nil { body(&state.torrents[hash]!) }
        }
        switch method {
        case "torrent-add": return add(arguments.map ?? [:], &state)
        case "torrent-start", "torrent-start-now": change { $0["status"] = 4 }
        case "torrent-stop": change { $0["status"] = 0 }
        // It is over before anybody looks.
        case "torrent-verify": state.recent.formUnion(named)
        case "torrent-reannounce": change { $0["trackerStats"] = [["id": 0, "announceState": 2]] }
        case "torrent-remove": for hash in named { state.torrents[hash] = nil }
        case "torrent-set-location": change { $0["downloadDir"] = arguments["location"] }
        case "torrent-rename-path": change { $0["files"] = [["name": arguments["name"] ?? .null]] }
        case "torrent-set": change { set(arguments.map ?? [:], &$0) }
        case "session-set": state.session.merge(arguments.map ?? [:]) { _, new in new }
        case "blocklist-update":
            state.session["blocklist-size"] = 7
            return ["blocklist-size": 7]
        case "queue-move-top", "queue-move-up": change { $0["queuePosition"] = -1 }
        case "queue-move-bottom", "queue-move-down": change { $0["queuePosition"] = 9 }
        default: return [:]
        }
        return [:]
    }

    private static func add(_ arguments: [String: Value], _ state: inout State) -> Value {
        let hash = ScriptedTransmission.added
        let told: Value = ["hashString": .string(hash.hex), "id": 3, "name": "x"]
        guard state.torrents[hash.hex] == nil else { return ["torrent-duplicate": told] }
        var torrent = torrent(hash, 3, arguments["paused"] == true ? 0 : 4)
        if arguments.isEmpty { torrent["status"] = 99 }
        set(arguments, &torrent)
        torrent["downloadDir"] = arguments["download-dir"] ?? "/downloads"
        state.torrents[hash.hex] = torrent
        return ["torrent-added": told]
    }

    private static func set(_ arguments: [String: Value], _ torrent: inout [String: Value]) {
        let lists: [(String, String, Value)] = [
            ("files-wanted", "wanted", true), ("files-unwanted", "wanted", false), ("priority-high", "priorities", 1),
            ("priority-normal", "priorities", 0), ("priority-low", "priorities", -1),
        ]
        for (name, field, value) in lists {
            var cells = torrent[field]?.array ?? []
            for file in arguments[name]?.array ?? [] { cells[Int(file.int ?? 0)] = value }
            torrent[field] = .array(cells)
        }
        var trackers = torrent["trackers"]?.array ?? []
        for address in arguments["trackerAdd"]?.array ?? [] {
            trackers.append(["id": .int(Int64(trackers.count)), "announce": address])
        }
        let removed = arguments["trackerRemove"]?.array ?? []
        torrent["trackers"] = .array(trackers.filter { !removed.contains($0["id"] ?? .null) })
        for (name, value) in arguments where torrent[name] != nil && name != "trackers" { torrent[name] = value }
    }

    private static func torrent(_ hash: InfoHash, _ id: Int64, _ status: Int64) -> [String: Value] {
        [
            "hashString": .string(hash.hex), "id": .int(id), "name": "torrent", "status": .int(status),
            "queuePosition": .int(id - 1), "downloadDir": "/downloads", "labels": ["old"], "bandwidthPriority": 0,
            "downloadLimited": false, "downloadLimit": 100, "uploadLimited": false, "uploadLimit": 100,
            "honorsSessionLimits": true, "seedRatioMode": 0, "seedRatioLimit": 2, "seedIdleMode": 0,
            "seedIdleLimit": 30, "peer-limit": 50, "wanted": [true, false], "priorities": [0, 1], "startDate": 1,
            "files": [["name": "torrent/a"], ["name": "torrent/b"]], "file-count": 2, "error": 0, "errorString": "",
            "isFinished": false, "trackers": [["id": 0, "announce": "http://127.0.0.1:1/old"]],
            "trackerStats": [["id": 0, "announceState": 1, "nextAnnounceTime": 9]],
        ]
    }

    private static let settings: [String: Value] = [
        "version": "4.0.6 (scripted)", "rpc-version": 17, "download-dir": "/downloads", "incomplete-dir": "/incomplete",
        "blocklist-size": 0, "encryption": "preferred", "seedRatioLimit": 2,
    ]
}
