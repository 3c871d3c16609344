/// A websocket of WAMP v1: its messages are translated on its own event loop, and the router sees those of v2.
import NIOCore
import Notation
import WAMP

extension RealmSocket {
    /// Messages kept until the router knows the websocket; clients wait for WELCOME and send none.
    private static let mostEarly = 64

    /// The router knows the websocket.
    func legacyOpened(as session: SessionID) {
        let new = LegacySession(session)
        legacy = new
        sendAll(new.opened())
        let kept = early
        early = []
        for bytes in kept { receivedLegacy(bytes) }
    }

    func receivedLegacy(_ bytes: [UInt8]) {
        guard legacy != nil else {
            if early.count < Self.mostEarly {
                early.append(bytes)
            } else {
                socket?.close(.policyViolation, "Too many messages before WELCOME.")
            }
            return
        }
        translate { session throws(Violation) in
            try bytes.withUnsafeBufferPointer { bytes throws(Violation) in
                try session.received(UnsafeRawBufferPointer(bytes))
            }
        }
    }

    /// The ticket was good, and the router has opened the session.
    func legacyAdmitted() {
        translate { session throws(Violation) in try session.admitted() }
    }

    func legacyRefused() {
        sendAll(legacy?.refused() ?? [])
    }

    /// What the router sends, as whole websocket frames of v1.
    func legacyFrames(of message: Message) -> [ByteBuffer] {
        carryOut(legacy?.routed(message) ?? [])
    }

    /// Version 1 has no ABORT: what is none of its messages closes the websocket.
    private func translate(_ body: (inout LegacySession) throws(Violation) -> [LegacyAction]) {
        guard var session = legacy else { return }
        do throws(Violation) {
            let actions = try body(&session)
            legacy = session
            sendAll(actions)
        } catch {
            socket?.close(.protocolError, error.message)
        }
    }

    private func sendAll(_ actions: [LegacyAction]) {
        for frame in carryOut(actions) { send(frame) }
    }

    /// Carries the actions out; the frames to send are left to the caller.
    private func carryOut(_ actions: [LegacyAction]) -> [ByteBuffer] {
        actions.compactMap { action in
            switch action {
            case .send(let value): return WebSocketFrame.encode(.text, JSON.encode(value))
            case .route(let message): realm.received(.success(message), number: number)
            case .admit(let user, let token): realm.knocked(number: number, user: user, ticket: token)
            case .close: socket?.close(.policyViolation, "The ticket is not valid. Ask for a new one.")
            }
            return nil
        }
    }
}
