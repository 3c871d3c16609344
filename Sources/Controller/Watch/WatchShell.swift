/// Runs the full-screen view: raw terminal, keys, events and redrawing.
import Calls
import Dispatch
import Foundation
import NIOCore
import Notation
import Seedbox

struct WatchShell: Sendable {
    /// Ages in the header grow also when nothing happens.
    private static let beat = Duration.seconds(1)
    /// More inputs than anybody makes between two redraws; older ones give way.
    private static let mostInputs = 256

    private enum Input: Sendable {
        case key(Key)
        /// Torrents, link, daemon or disks are new; the newest are in the box.
        case news
        case redraw
        case told(String)
        case ended(Problem?)
    }

    let backend: Backend
    let terminal: RawTerminal

    func run() async throws {
        let (inputs, input) = AsyncStream.makeStream(of: Input.self, bufferingPolicy: .bufferingNewest(Self.mostInputs))
        let news = Latest()
        try terminal.enter()
        defer { terminal.leave() }
        // Waits in a read that cannot be called off; it must not hold up the end.
        let keys = Task {
            var decoder = KeyDecoder()
            let file = InputFile(STDIN_FILENO)
            while let bytes = await file.read() {
                for key in decoder.received(Array(bytes.readableBytesView)) { input.yield(.key(key)) }
            }
            input.yield(.ended(nil))
        }
        defer { keys.cancel() }
        let problem = await withTaskGroup(of: Void.self, returning: Problem?.self) { group in
            group.addTask { await follow(news, input) }
            group.addTask {
                for await signal in EndingSignals.stream([SIGINT, SIGTERM, SIGHUP, SIGWINCH]) {
                    input.yield(signal == SIGWINCH ? .redraw : .ended(nil))
                }
            }
            group.addTask {
                while (try? await Task.sleep(for: Self.beat)) != nil { input.yield(.redraw) }
            }
            let problem = await loop(inputs, news, input)
            group.cancelAll()
            return problem
        }
        if let problem { throw problem }
    }

    /// Shows what comes in until somebody quits or the watch ends.
    private func loop(
        _ inputs: AsyncStream<Input>,
        _ news: Latest,
        _ input: AsyncStream<Input>.Continuation
    ) async -> Problem? {
        var screen = WatchScreen(box: backend.box ?? "")
        await draw(&screen)
        for await next in inputs {
            switch next {
            case .ended(let problem): return problem
            case .redraw: break
            case .told(let message): screen.told(message)
            case .news:
                let (mirror, link) = news.take()
                screen.received(mirror.table.torrents, daemon: mirror.daemon)
                screen.received(host: mirror.host)
                screen.received(link: link)
            case .key(let key):
                switch screen.pressed(key) {
                case .quit: return nil
                case .change(let verb, let hash, var arguments, let told):
                    arguments["hashes"] = [.string(hash.hex)]
                    screen.told("…")
                    let change = Change(verb: verb, arguments: arguments, targets: [hash])
                    // Not waited for: the keys go on while the seedbox is far away. It ends with the connection.
                    Task { input.yield(.told(await carryOut(change, told: told))) }
                case nil: break
                }
            }
            await draw(&screen)
        }
        return nil
    }

    private func carryOut(_ change: Change, told: String) async -> String {
        do {
            switch try await backend.change(change, Patience()) {
            case .done: return told
            case .pending(_, let told): return told
            }
        } catch {
            return visible(Failure.problem(error)?.message ?? "It failed.")
        }
    }

    /// Watches, anew after each gap, until the connection ends.
    private func follow(_ news: Latest, _ input: AsyncStream<Input>.Continuation) async {
        do {
            while true {
                let call = try await backend.watch(["torrents", "daemon", "host"])
                var mirror = Mirror(epoch: 0)
                var lost = false
                for await event in call.events {
                    guard case .event(let value) = event else { continue }
                    if value["kind"] == "link", let link = value["link"] {
                        news.note(link: link)
                    } else if let event = Event(value) {
                        lost = mirror.received(event) == .gap
                        if lost { break }
                        news.note(mirror)
                    }
                    input.yield(.news)
                }
                call.cancel()
                if Task.isCancelled { return }
                if !lost { _ = try await call.result() }
            }
        } catch {
            input.yield(.ended(Failure.problem(error) ?? Problem(.internalFault, "The view has failed.")))
        }
    }

    private func draw(_ screen: inout WatchScreen) async {
        let place = Terminal.of(STDOUT_FILENO)
        let now = Int64(Date.now.timeIntervalSince1970 * 1000)
        let lines = screen.lines(on: place, now: now)
        // All in one write and, where the terminal knows it, in one refresh.
        let frame = "\u{1B}[?2026h\u{1B}[H" + lines.joined(separator: "\u{1B}[K\r\n") + "\u{1B}[K\u{1B}[J\u{1B}[?2026l"
        _ = await OutputFile.standard.write(ByteBuffer(string: frame))
    }
}
