/// A web server on a free loopback port, and clients that speak to it byte by byte.
import Logging
import NIOCore
import NIOPosix
import Notation
import Synchronization
import Testing

@testable import Web

/// How long any wait in these tests may take.
let patience = Duration.seconds(20)

struct TimedOut: Error {}

/// Runs the body, or throws once patience is over.
func within<T: Sendable>(
    _ time: Duration = patience,
    _ body: @escaping @Sendable () async throws -> T
) async throws -> T {
    try await withThrowingTaskGroup(of: T.self) { tasks in
        tasks.addTask { try await body() }
        tasks.addTask {
            try await Task.sleep(for: time)
            throw TimedOut()
        }
        guard let first = try await tasks.next() else { throw TimedOut() }
        tasks.cancelAll()
        return first
    }
}

struct FakeAPI: WebAPI {
    func boxes() async throws -> Value { ["boxes": [["name": "vps"]]] }
    func torrents(of box: String) async throws -> Value? { box == "vps" ? ["epoch": 1, "seq": 0, "full": [:]] : nil }
    func metrics() async -> String { "farseed_fake 1\n" }
}

/// One account that comes by password.
struct OneAccount: PasswordList {
    func verify(name: String, password: String) async throws -> Account? {
        name == "ann" && password == "correct horse" ? Account(name: "ann", role: .viewer) : nil
    }
}

struct LiveServer: Sendable {
    let server: WebServer
    let port: Int
    let logins: MemoryLogins
    let realm: Realm

    /// Starts a server, runs the body, and stops it.
    static func with<T: Sendable>(
        passwords: any PasswordList = OneAccount(),
        workers: [Worker] = [],
        openTopics: [String] = [],
        _ change: (inout WebConfiguration) -> Void = { _ in },
        _ body: @escaping @Sendable (LiveServer) async throws -> T
    ) async throws -> T {
        var configuration = WebConfiguration(host: "127.0.0.1", port: 0)
        change(&configuration)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let logins = MemoryLogins(passwords: passwords)
        let realm = Realm(
            group: group,
            limits: configuration.limits,
            logins: logins,
            workers: workers,
            openTopics: openTopics,
            logger: logger
        )
        let server = try WebServer(
            configuration: configuration,
            group: group,
            realm: realm,
            logins: logins,
            api: FakeAPI(),
            logger: logger
        )
        let result: Result<T, any Error>
        let running = Task { try await server.run() }
        do {
            let port = try await within { try await server.boundAddress.port ?? 0 }
            let live = LiveServer(server: server, port: port, logins: logins, realm: realm)
            result = .success(try await within(.seconds(60)) { try await body(live) })
        } catch {
            result = .failure(error)
        }
        running.cancel()
        _ = await running.result
        try await group.shutdownGracefully()
        return try result.get()
    }

    var host: String { "127.0.0.1:\(port)" }
    var origin: String { "http://\(host)" }

    func connect() async throws -> RawClient { try await RawClient.connect(port: port) }

    /// One request on a connection of its own.
    func request(
        _ method: String,
        _ path: String,
        _ fields: [(String, String)] = [],
        body: String? = nil
    ) async throws -> RawResponse {
        let client = try await connect()
        defer { client.close() }
        return try await client.request(method, path, host: host, fields, body: body)
    }

    /// A login's cookie, by a one-time link.
    func login(_ account: Account = Account(name: "owner", role: .owner)) async throws -> String {
        let token = logins.makeLink(for: account)
        let response = try await request(
            "POST",
            "/api/login",
            [("x-farseed", "1"), ("origin", origin)],
            body: #"{"token":"\#(token)"}"#
        )
        #expect(response.status == 204)
        let cookie = try #require(response.fields["set-cookie"])
        return String(cookie.prefix { $0 != ";" })
    }

    func ticket(cookie: String) async throws -> String {
        let response = try await request(
            "POST",
            "/api/ticket",
            [("x-farseed", "1"), ("origin", origin), ("cookie", cookie)]
        )
        #expect(response.status == 200)
        return try #require(try JSON.decode(response.body)["ticket"]?.string)
    }
}

struct RawResponse: Sendable {
    var status: Int
    var fields: [String: String]
    var body: String
}

/// A TCP connection whose bytes are kept as they come.
final class RawClient: Sendable {
    private let channel: any Channel
    private let inbox: Inbox

    /// What came, and who waits for it.
    final class Inbox: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer

        struct State {
            var bytes: [UInt8] = []
            var isClosed = false
            /// A wait was cancelled: nothing waits any more.
            var isAbandoned = false
            var waiters: [CheckedContinuation<Void, Never>] = []
        }

        let state = Mutex(State())

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let buffer = unwrapInboundIn(data)
            change { $0.bytes += buffer.readableBytesView }
        }

        func channelInactive(context: ChannelHandlerContext) { change { $0.isClosed = true } }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

        private func change(_ body: (inout State) -> Void) {
            let waiters = state.withLock { state in
                body(&state)
                defer { state.waiters = [] }
                return state.waiters
            }
            for waiter in waiters { waiter.resume() }
        }

        /// Returns once something more has come, or the connection ended.
        func wait(unless isEnough: @Sendable (inout State) -> Bool) async -> Bool {
            await withTaskCancellationHandler {
                await withCheckedContinuation { continuation in
                    let isDone = state.withLock { state in
                        if isEnough(&state) || state.isClosed || state.isAbandoned { return true }
                        state.waiters.append(continuation)
                        return false
                    }
                    if isDone { continuation.resume() }
                }
            } onCancel: {
                change { $0.isAbandoned = true }
            }
            return state.withLock { $0.isClosed }
        }
    }

    private init(channel: any Channel, inbox: Inbox) {
        self.channel = channel
        self.inbox = inbox
    }

    static func connect(port: Int) async throws -> RawClient {
        let inbox = Inbox()
        let channel = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .channelOption(.allowRemoteHalfClosure, value: false)
            .channelInitializer { $0.pipeline.addHandler(inbox) }
            .connect(host: "127.0.0.1", port: port).get()
        return RawClient(channel: channel, inbox: inbox)
    }

    func close() { channel.close(promise: nil) }

    /// Stops or goes on taking bytes from the kernel.
    func setReading(_ isReading: Bool) async throws {
        try await channel.setOption(.autoRead, value: isReading).get()
    }

    func send(_ bytes: [UInt8]) async throws { try await channel.writeAndFlush(ByteBuffer(bytes: bytes)) }
    func send(_ text: String) async throws { try await send(Array(text.utf8)) }

    /// Takes from the front of what came whatever `take` finds whole; nil once the connection ended before.
    func next<T: Sendable>(_ take: @escaping @Sendable (inout [UInt8]) -> T?) async throws -> T? {
        let inbox = inbox
        return try await within {
            while true {
                let before = inbox.state.withLock { $0.bytes.count }
                if let found = inbox.state.withLock({ take(&$0.bytes) }) { return found }
                let isClosed = await inbox.wait { $0.bytes.count != before }
                if isClosed { return inbox.state.withLock { take(&$0.bytes) } }
                try Task.checkCancellation()
            }
        }
    }

    /// Waits for the connection's end; all bytes that were left.
    func rest() async throws -> [UInt8] {
        let inbox = inbox
        return try await within {
            while !inbox.state.withLock({ $0.isClosed }) {
                let before = inbox.state.withLock { $0.bytes.count }
                _ = await inbox.wait { $0.bytes.count != before }
                try Task.checkCancellation()
            }
            return inbox.state.withLock { $0.bytes }
        }
    }

    func request(
        _ method: String,
        _ path: String,
        host: String,
        _ fields: [(String, String)] = [],
        body: String? = nil
    ) async throws -> RawResponse {
        var text = "\(method) \(path) HTTP/1.1\r\nhost: \(host)\r\n"
        for (name, value) in fields { text += "\(name): \(value)\r\n" }
        if let body { text += "content-length: \(body.utf8.count)\r\n" }
        try await send(text + "\r\n" + (body ?? ""))
        return try #require(try await response(isHead: method == "HEAD"))
    }

    /// The next response; a body by its content-length.
    func response(isHead: Bool = false) async throws -> RawResponse? {
        try await next { bytes in
            let text = String(decoding: bytes, as: UTF8.self)
            guard let end = text.range(of: "\r\n\r\n") else { return nil }
            let lines = text[..<end.lowerBound].split(separator: "\r\n")
            guard let status = lines.first?.split(separator: " ").dropFirst().first.flatMap({ Int($0) }) else {
                return nil
            }
            var fields: [String: String] = [:]
            for line in lines.dropFirst() {
                let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
                fields[parts[0].lowercased()] = parts.count > 1 ? parts[1].trimmingSpaces : ""
            }
            let headSize = text[..<end.upperBound].utf8.count
            let length =
                isHead || status == 304 || status == 101 ? 0 : fields["content-length"].flatMap { Int($0) } ?? 0
            guard bytes.count >= headSize + length else { return nil }
            let body = String(decoding: bytes[headSize..<headSize + length], as: UTF8.self)
            bytes.removeFirst(headSize + length)
            return RawResponse(status: status, fields: fields, body: body)
        }
    }
}

extension String {
    /// The first place of `text`, without Foundation.
    fileprivate func range(of text: String) -> Range<String.Index>? {
        let (own, other) = (Array(utf8), Array(text.utf8))
        guard own.count >= other.count else { return nil }
        for start in 0...(own.count - other.count) where own[start..<start + other.count].elementsEqual(other) {
            let lower = utf8.index(utf8.startIndex, offsetBy: start)
            return lower..<utf8.index(lower, offsetBy: other.count)
        }
        return nil
    }
}
