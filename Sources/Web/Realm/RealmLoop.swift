/// The realm's websockets that live on one event loop, and which of them take part in which subscription.
import NIOCore
import Notation
import WAMP

/// Confined to its event loop; the realm's own loop sends it closures.
final class RealmLoop {
    /// What matters of an event besides its bytes.
    struct Event: Sendable {
        var topic: String
        var subscription: Int64
        var details: [String: Value]
        var isConflatable: Bool
    }

    /// The shortest way to a websocket, beside those of others, so that an event to thousands reads little memory.
    private struct Way {
        /// Negative where an event must be given to the `RealmSocket`.
        var descriptor: NIOBSDSocket.Handle = -1
        var serializer = Serializer.json
    }

    let loop: any EventLoop
    private var sockets: [Int: RealmSocket] = [:]
    /// By a websocket's place.
    private var ways: [Way] = []
    private var places: [RealmSocket?] = []
    private var freePlaces: [Int] = []
    /// The places of those who take part. Kept as arrays: an event walks them, joining and leaving is rare.
    private var members: [Int64: [Int]] = [:]

    init(loop: any EventLoop) {
        self.loop = loop
    }

    subscript(number: Int) -> RealmSocket? { sockets[number] }

    func opened(_ socket: RealmSocket) {
        sockets[socket.number] = socket
        if let place = freePlaces.popLast() {
            socket.place = place
            places[place] = socket
        } else {
            socket.place = places.count
            places.append(socket)
            ways.append(Way())
        }
    }

    func closed(_ socket: RealmSocket) {
        sockets[socket.number] = nil
        for subscription in socket.subscriptions { remove(socket, from: subscription) }
        socket.subscriptions = []
        places[socket.place] = nil
        ways[socket.place] = Way()
        freePlaces.append(socket.place)
    }

    /// As long as there is a descriptor, frames of the serializer may be written to it.
    func directChanged(_ socket: RealmSocket, _ descriptor: NIOBSDSocket.Handle?, _ serializer: Serializer) {
        ways[socket.place] = Way(descriptor: descriptor ?? -1, serializer: serializer)
    }

    func join(_ number: Int, _ subscription: Int64) {
        guard let socket = sockets[number], socket.subscriptions.insert(subscription).inserted else { return }
        members[subscription, default: []].append(socket.place)
    }

    func leave(_ number: Int, _ subscription: Int64) {
        guard let socket = sockets[number], socket.subscriptions.contains(subscription) else { return }
        socket.left(subscription)
        remove(socket, from: subscription)
    }

    /// Writes the event to every member but one.
    func deliver(_ frame: SharedFrame, _ event: Event, except number: Int?) {
        guard let members = members[event.subscription] else { return }
        deliver(frame, event, at: members, except: number.flatMap { sockets[$0]?.place })
    }

    /// Writes the event to these sockets.
    func deliver(_ frame: SharedFrame, _ event: Event, to numbers: [Int]) {
        deliver(frame, event, at: numbers.compactMap { sockets[$0]?.place }, except: nil)
    }

    private func deliver(_ shared: SharedFrame, _ event: Event, at members: [Int], except exception: Int?) {
        var frames = FrameReader(shared)
        var index = 0
        while index < members.count {
            let place = members[index]
            let serializer = ways[place].serializer
            if place == exception || ways[place].descriptor < 0 {
                index += 1
                if place != exception { places[place]?.deliver(&frames, event) }
                continue
            }
            // Those who speak alike follow each other mostly: for a stretch of them the frame's bytes are looked up once.
            let frame = frames[serializer]
            frame.withUnsafeReadableBytes { bytes in
                while index < members.count {
                    let place = members[index]
                    let way = ways[place]
                    guard way.descriptor >= 0, way.serializer == serializer else { return }
                    index += 1
                    if place == exception { continue }
                    let sent = WebSocketHandler.write(bytes, to: way.descriptor)
                    if sent < bytes.count { places[place]?.socket?.sendRest(of: frame, after: sent) }
                }
            }
        }
    }

    /// Ends every websocket at once; the future is fulfilled when the last is gone.
    func closeAll(_ code: WebSocketCloseCode, _ reason: String) -> EventLoopFuture<Void> {
        let gone = sockets.values.compactMap { $0.socket?.closeAtOnce(code, reason) }
        return .andAllComplete(gone, on: loop)
    }

    private func remove(_ socket: RealmSocket, from subscription: Int64) {
        guard var list = members.removeValue(forKey: subscription) else { return }
        if let index = list.firstIndex(of: socket.place) {
            list.swapAt(index, list.count - 1)
            list.removeLast()
        }
        if !list.isEmpty { members[subscription] = list }
    }
}
