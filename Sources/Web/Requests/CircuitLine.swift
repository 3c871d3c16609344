/// The first line of a connection that tor brings from an onion service: it tells one circuit from another.
import Glibc
import NIOCore

/// Takes the line of `HiddenServiceExportCircuitID haproxy` off a connection, and then leaves it.
///
/// Without it all clients of an onion service would have the one address of tor, and one that guesses passwords would
/// lock the others out. tor writes the line itself, before anything of the client's.
final class CircuitLine: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    /// The PROXY protocol's first version knows no longer line, its end included.
    static let longest = 107
    /// What the addresses of tor's circuits begin with; the last 32 bits are the circuit's number.
    private static let prefix: [UInt8] = [0xFC, 0x00, 0xDE, 0xAD, 0xBE, 0xEF, 0x4D, 0xAD, 0, 0, 0, 0]

    private let within: Int64
    /// Sets up the handlers behind this one for the client of this name.
    private let entered: (String) throws -> Void
    /// The connection ended; whether it was still waited for whose it is.
    private let ended: (_ isWaiting: Bool) -> Void

    private var line = ByteBuffer()
    private var isWaiting = true
    private var deadline: Scheduled<Void>?

    /// - Parameter within: how long the line may take, in milliseconds.
    init(within: Int64, entered: @escaping (String) throws -> Void, ended: @escaping (_ isWaiting: Bool) -> Void) {
        self.within = within
        self.entered = entered
        self.ended = ended
    }

    /// What stands for the client's address; nil for any line but tor's.
    static func client(_ line: String) -> String? {
        let parts = line.split(separator: " ", omittingEmptySubsequences: false)
        var bytes = [UInt8](repeating: 0, count: 16)
        guard parts.count == 6, parts[0] == "PROXY", parts[1] == "TCP6",
            inet_pton(AF_INET6, String(parts[2]), &bytes) == 1
        else { return nil }
        guard bytes.starts(with: prefix) else { return nil }
        return "onion circuit \(bytes[12...].reduce(UInt32(0)) { $0 << 8 | UInt32($1) })"
    }

    func handlerAdded(context: ChannelHandlerContext) {
        deadline = context.eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(within)) {
            context.close(promise: nil)
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        deadline?.cancel()
    }

    func channelInactive(context: ChannelHandlerContext) {
        ended(isWaiting)
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        line.writeImmutableBuffer(unwrapInboundIn(data))
        let head = line.readableBytesView.prefix(Self.longest)
        guard let end = head.firstIndex(of: UInt8(ascii: "\n")) else {
            if head.count == Self.longest { context.close(promise: nil) }
            return
        }
        let text = head[..<end]
        guard text.last == UInt8(ascii: "\r"),
            let client = Self.client(String(decoding: text.dropLast(), as: UTF8.self))
        else {
            context.close(promise: nil)
            return
        }
        line.moveReaderIndex(forwardBy: text.count + 1)
        isWaiting = false
        do { try entered(client) } catch {
            context.close(promise: nil)
            return
        }
        if line.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(line)) }
        context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
    }
}
