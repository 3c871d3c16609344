/// A connection to tor's control port: authenticates, asks how tor is, and then hears what changes.
package import NIOCore
import NIOPosix
import Seedbox

/// One-shot: it lasts as long as the connection. Everything works without it; it only tells more.
package struct ControlPort: Sendable {
    /// How to say who we are.
    package enum Credential: Sendable, Hashable {
        /// The cookie file that tor names, or nothing where tor asks for nothing.
        case cookie
        case password(String)
    }

    private let address: TorAddress
    private let credential: Credential
    private let group: any EventLoopGroup

    /// Bytes of a line; longer ones are no control port's.
    private static let longestLine = 65_536
    private static let connecting = TimeAmount.seconds(5)

    package init(_ address: TorAddress, credential: Credential = .cookie, group: any EventLoopGroup) {
        self.address = address
        self.credential = credential
        self.group = group
    }

    /// Follows tor until the connection ends or the task is cancelled; `told` gets all that is known, after each change.
    ///
    /// - Parameter owns: tor ends when this connection does.
    package func follow(owns: Bool = false, _ told: (TorNews) -> Void) async throws {
        let channel = try await connect()
        try await channel.executeThenClose { inbound, outbound in
            var replies = Replies(lines: inbound.makeAsyncIterator())
            try await authenticate(&replies, outbound)
            if owns { _ = try await ask("TAKEOWNERSHIP", &replies, outbound) }
            var news = TorNews()
            let events = try await ask(
                "SETEVENTS STATUS_CLIENT STATUS_GENERAL CIRC CIRC_MINOR STREAM HS_DESC",
                &replies,
                outbound
            )
            guard events.isSuccess else { throw refused(events) }
            let facts = try await ask("GETINFO version status/bootstrap-phase circuit-status", &replies, outbound)
            for line in facts.lines + replies.takeEvents() { news.received(line) }
            told(news)
            while true {
                let before = news
                if let fingerprint = news.unplaced.first {
                    news.placed(fingerprint, in: try await country(of: fingerprint, &replies, outbound))
                    for line in replies.takeEvents() { news.received(line) }
                } else {
                    guard let reply = try await replies.next() else { return }
                    for line in reply.lines where reply.isEvent { news.received(line) }
                }
                if news != before { told(news) }
            }
        }
    }

    /// Where tor's own table says that a relay stands; nil where it has none, or does not know the relay.
    private func country(
        of fingerprint: String,
        _ replies: inout Replies,
        _ outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
    ) async throws -> String? {
        let entry = try await ask("GETINFO ns/id/\(fingerprint)", &replies, outbound)
        guard entry.isSuccess, let address = entry.lines.first.flatMap(TorRelay.address) else { return nil }
        let answer = try await ask("GETINFO ip-to-country/\(address)", &replies, outbound)
        return answer.isSuccess ? answer.lines.first.flatMap(TorRelay.country) : nil
    }

    /// Sends one signal, such as `NEWNYM`, on a connection of its own.
    package func signal(_ name: String) async throws {
        try await connect().executeThenClose { inbound, outbound in
            var replies = Replies(lines: inbound.makeAsyncIterator())
            try await authenticate(&replies, outbound)
            let reply = try await ask("SIGNAL \(name)", &replies, outbound)
            guard reply.isSuccess else { throw refused(reply) }
        }
    }

    private func authenticate(_ replies: inout Replies, _ outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>)
        async throws
    {
        let reply: ControlReply
        switch credential {
        case .password(let password):
            let quoted = password.map { "\\\"".contains($0) ? "\\\($0)" : String($0) }.joined()
            guard !password.contains(where: \.isNewline) else {
                throw Problem(.configurationInvalid, "The control port's password holds a line end. Correct its file.")
            }
            reply = try await ask("AUTHENTICATE \"\(quoted)\"", &replies, outbound)
        case .cookie:
            let info = try await ask("PROTOCOLINFO 1", &replies, outbound)
            let methods = info.lines.first { $0.hasPrefix("AUTH ") }.map { ControlWords($0.dropFirst(5)) }
            let names = (methods?.pairs["METHODS"] ?? "NULL").split(separator: ",")
            if names.contains("NULL") {
                reply = try await ask("AUTHENTICATE", &replies, outbound)
            } else if names.contains("SAFECOOKIE"), let path = methods?.pairs["COOKIEFILE"] {
                let cookie = SafeCookie(cookie: try cookie(path), nonce: Array(Wall.nonce().utf8))
                let answer = try await ask(cookie.challenge, &replies, outbound)
                guard answer.isSuccess else { throw refused(answer) }
                guard let proof = answer.lines.first.flatMap(cookie.proof) else {
                    throw Problem(
                        .notPermitted,
                        "What listens at tor's control port does not know tor's cookie, so it is not that tor. Correct "
                            + "`control` in the configuration."
                    )
                }
                reply = try await ask("AUTHENTICATE \(proof)", &replies, outbound)
            } else {
                throw Problem(
                    .notPermitted,
                    "Tor's control port demands a password. Set `control-password-file`, or CookieAuthentication 1."
                )
            }
        }
        guard reply.isSuccess else { throw refused(reply) }
    }

    private func cookie(_ path: String) throws -> [UInt8] {
        let bytes = try SmallFile.read(path, atMost: SafeCookie.size + 1)
        guard bytes.count == SafeCookie.size else {
            throw Problem(.notPermitted, "The cookie file that tor's control port names is no cookie.")
        }
        return bytes
    }

    private func refused(_ reply: ControlReply) -> Problem {
        Problem(
            .notPermitted,
            "Tor's control port refuses what was asked of it (\(reply.code)). Check its credentials."
        )
    }

    private func ask(
        _ command: String,
        _ replies: inout Replies,
        _ outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
    ) async throws -> ControlReply {
        try await outbound.write(ByteBuffer(string: command + "\r\n"))
        while let reply = try await replies.next() {
            if !reply.isEvent { return reply }
            replies.keep(reply)
        }
        throw Problem(.torFailed, "Tor closed its control port. It is probably ending; look into its log.")
    }

    private func connect() async throws -> NIOAsyncChannel<ByteBuffer, ByteBuffer> {
        do {
            return try await address.connect(by: group, within: Self.connecting) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        ByteToMessageHandler(ControlLineDecoder(), maximumBufferSize: Self.longestLine)
                    )
                    return try NIOAsyncChannel(wrappingChannelSynchronously: channel)
                }
            }
        } catch {
            try Task.checkCancellation()
            throw Problem(
                .torFailed,
                "Tor's control port \(address) does not answer. Start tor, or correct `control` in the configuration."
            )
        }
    }
}

/// Lines in, replies out; events that come between a question and its answer are kept for later.
private struct Replies {
    var lines: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator
    private var parser = ControlReplyParser()
    private var kept: [ControlReply] = []

    /// Events that may come between a question and its answer.
    private static let mostKept = 1_000

    init(lines: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator) { self.lines = lines }

    mutating func next() async throws -> ControlReply? {
        while let line = try await lines.next(isolation: #isolation) {
            if let reply = try parser.received(String(buffer: line)) { return reply }
        }
        return nil
    }

    mutating func keep(_ event: ControlReply) {
        if kept.count < Self.mostKept { kept.append(event) }
    }

    mutating func takeEvents() -> [String] {
        defer { kept = [] }
        return kept.flatMap(\.lines)
    }
}

/// Cuts at line ends.
private struct ControlLineDecoder: ByteToMessageDecoder {
    typealias InboundOut = ByteBuffer

    mutating func decode(context: ChannelHandlerContext, buffer: inout ByteBuffer) throws -> DecodingState {
        guard let end = buffer.readableBytesView.firstIndex(of: UInt8(ascii: "\n")) else { return .needMoreData }
        guard var line = buffer.readSlice(length: end - buffer.readerIndex + 1) else { return .needMoreData }
        line.moveWriterIndex(to: line.writerIndex - 1)
        if line.readableBytesView.last == UInt8(ascii: "\r") { line.moveWriterIndex(to: line.writerIndex - 1) }
        context.fireChannelRead(wrapInboundOut(line))
        return .continue
    }

    mutating func decodeLast(
        context: ChannelHandlerContext,
        buffer: inout ByteBuffer,
        seenEOF: Bool
    ) throws -> DecodingState {
        buffer.clear()
        return .needMoreData
    }
}
