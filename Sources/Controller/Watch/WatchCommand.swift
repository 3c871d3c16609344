/// `farseed watch`: a live view of the torrents on a terminal, a line of JSON per change for programs.
import ArgumentParser
import Calls
import Foundation
import NIOCore
import Notation
import Seedbox

struct WatchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch",
        abstract: "Watch torrents live; JSON lines where the output is no terminal.",
        discussion: """
            Keys: arrows or j and k choose, o and r sort, / filters, s starts, p stops, v verifies, x removes, ? helps, \
            q quits. Each JSON line has a `kind`: `torrents` (first `full`, then `set` and `del`, as on the topic \
            farseed.BOX.torrents), `daemon`, `session`, `host`, `link`.
            """
    )

    @OptionGroup var options: BoxOptions

    @Flag(name: .long, help: "JSON lines also on a terminal.")
    var json = false

    func run() async throws {
        let terminal = Terminal.of(STDOUT_FILENO)
        if json || !terminal.isTerminal || isatty(STDIN_FILENO) != 1 {
            try await Backend.with(options.choice) { try await WatchLines(backend: $0).run() }
        } else {
            try await Backend.with(options.choice) { backend in
                try await WatchShell(backend: backend, terminal: .standard).run()
            }
        }
    }
}

/// One line of JSON per change.
struct WatchLines: Sendable {
    let backend: Backend

    func run() async throws {
        while true {
            let call = try await backend.watch(["torrents", "session", "host", "daemon"])
            var lines = WatchLineMaker()
            var lost = false
            for await input in call.events {
                guard case .event(let value) = input else { continue }
                guard let line = lines.line(for: value) else {
                    if lines.hasGap {
                        lost = true
                        break
                    }
                    continue
                }
                guard await OutputFile.standard.write(ByteBuffer(string: MachineText.json(line) + "\n")) else {
                    // Whoever read has gone, as `head` does.
                    throw ExitCode(128 + SIGPIPE)
                }
            }
            call.cancel()
            if !lost { _ = try await call.result() }
        }
    }
}

/// Makes the documented lines from the events of a watch; pure.
struct WatchLineMaker: Sendable {
    private var mirror = Mirror(epoch: 0)
    private var isWhole = false
    private(set) var hasGap = false

    /// Nil for events that are no change by themselves.
    mutating func line(for value: Value) -> Value? {
        guard let event = Event(value) else {
            return value["kind"] == "link" ? value : nil
        }
        let change = mirror.received(event)
        switch (event, change) {
        case (_, .gap):
            hasGap = true
            return nil
        case (.snapshot(let position, let part, let parts, _), _):
            guard part == parts - 1 else { return nil }
            isWhole = true
            let full = mirror.table.torrents.map { ($0.key.hex, Value.map($0.value.fields)) }
            return [
                "kind": "torrents", "epoch": .int(position.epoch), "seq": .int(position.seq),
                "full": .map(Dictionary(full) { first, _ in first }),
            ]
        case (.delta(let position, let delta, _), .torrents):
            let head: [String: Value] = [
                "kind": "torrents", "epoch": .int(position.epoch), "seq": .int(position.seq),
            ]
            return .map(delta.map.merging(head) { _, new in new })
        case (.daemon, .daemon), (.session, .session), (.host, .host): return value
        default: return nil
        }
    }
}
