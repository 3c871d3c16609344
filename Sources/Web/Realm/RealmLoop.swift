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

    let loop: any EventLoop
    private var sockets: [Int: RealmSocket] = [:]
    /// Kept as arrays: an event walks them, joining and leaving is rare.
    private var members: [Int64: [RealmSocket]] = [:]

    init(loop: any EventLoop) {
        self.loop = loop
    }

    subscript(number: Int) -> RealmSocket? { sockets[number] }

    func opened(_ socket: RealmSocket) {
        sockets[socket.number] = socket
    }

    func closed(_ socket: RealmSocket) {
        sockets[socket.number] = nil
        for subscription in socket.subscriptions { remove(socket, from: subscription) }
        socket.subscriptions = []
    }

    func join(_ number: Int, _ subscription: Int64) {
        guard let socket = sockets[number], socket.subscriptions.insert(subscription).inserted else { return }
        members[subscription, default: []].append(socket)
    }

    func leave(_ number: Int, _ subscription: Int64) {
        guard let socket = sockets[number], socket.subscriptions.contains(subscription) else { return }
        socket.left(subscription)
        remove(socket, from: subscription)
    }

    /// Writes the event to every member but one.
    func deliver(_ frame: SharedFrame, _ event: Event, except number: Int?) {
        guard let members = members[event.subscription] else { return }
        var frames = FrameReader(frame)
        for socket in members where socket.number != number { socket.deliver(&frames, event) }
    }

    /// Writes the event to these sockets.
    func deliver(_ frame: SharedFrame, _ event: Event, to numbers: [Int]) {
        var frames = FrameReader(frame)
        for number in numbers { sockets[number]?.deliver(&frames, event) }
    }

    /// Ends every websocket at once; the future is fulfilled when the last is gone.
    func closeAll(_ code: WebSocketCloseCode, _ reason: String) -> EventLoopFuture<Void> {
        let gone = sockets.values.compactMap { $0.socket?.closeAtOnce(code, reason) }
        return .andAllComplete(gone, on: loop)
    }

    private func remove(_ socket: RealmSocket, from subscription: Int64) {
        guard var list = members.removeValue(forKey: subscription) else { return }
        if let index = list.firstIndex(where: { $0 === socket }) {
            list.swapAt(index, list.count - 1)
            list.removeLast()
        }
        if !list.isEmpty { members[subscription] = list }
    }
}
