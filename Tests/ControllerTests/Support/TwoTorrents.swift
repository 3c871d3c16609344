/// What a daemon answers whose seedbox has two torrents, for tests of the commands that change them.
import Calls
import NIOCore
import Notation
import Seedbox
import Synchronization

@testable import Controller

/// What the daemon was asked to do.
final class Submissions: Sendable {
    private let state = Mutex<[Value]>([])

    var all: [Value] { state.withLock { $0 } }

    func note(_ value: Value) { state.withLock { $0.append(value) } }
}

enum TwoTorrents {
    static let hash = String(repeating: "a", count: 40)
    static let other = String(repeating: "b", count: 40)

    static func snapshot(_ call: IncomingCall, _ fields: [Field: Value] = [:]) async throws {
        let torrents = [(hash, "One"), (other, "Two")].map { hash, name in
            Torrent(
                hash: InfoHash(hash)!,
                [.name: .string(name), .status: "stopped", .labels: ["x"], .size: 5, .progress: 0.5].merging(fields) {
                    $1
                }
            )
        }
        try await call.emit(
            Event.snapshot(position: Position(epoch: 1, seq: 0), part: 0, parts: 1, torrents: torrents).value
        )
    }

    static func answers(
        _ submissions: Submissions,
        state: Value = ["state": "done", "ended": true],
        result: Value = .null
    ) -> [String: FakeDaemon.Answer] {
        [
            "torrents": { call in
                try await snapshot(call)
                return ["link": LinkStatus(state: "live").value]
            },
            "submit": { call in
                var upload = ByteBuffer()
                if call.arguments["upload"]?.bool == true {
                    receiving: for await input in call.inputs {
                        switch input {
                        case .data(_, var bytes): upload.writeBuffer(&bytes)
                        case .end: break receiving
                        case .event: break
                        }
                    }
                }
                var noted = call.arguments.map ?? [:]
                if upload.readableBytes > 0 { noted["uploaded"] = .int(Int64(upload.readableBytes)) }
                submissions.note(.map(noted))
                try await call.emit(["id": 7, "state": "accepted", "ended": false])
                return .map((state.map ?? [:]).merging(["id": 7, "result": result]) { old, _ in old })
            },
        ]
    }
}
