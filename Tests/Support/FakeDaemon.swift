/// An HTTP server in this process that answers as a test wants.

import NIOCore
package import NIOHTTP1
import NIOPosix
package import Notation
import Synchronization
package import Transmission

package final class FakeDaemon: Sendable {
    package struct Request: Sendable {
        package var headers: HTTPHeaders
        package var body: Value
    }

    package enum Answer: Sendable {
        case http(Int, [(String, String)], String)
        /// The end without an answer.
        case close
        case silence

        package static func ok(_ body: String) -> Answer { .http(200, [], body) }
    }

    package let configuration: RPCConfiguration
    private let log = Log()
    private let server: any Channel

    /// `answer` is given the number of the request, from 0.
    package init(_ answer: @escaping @Sendable (Int, Request) -> Answer) async throws {
        let log = log
        server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(Handler(log, answer))
                }
            }
            .bind(host: "127.0.0.1", port: 0)
            .get()
        var configuration = RPCConfiguration()
        configuration.port = server.localAddress?.port ?? 0
        configuration.replyDeadline = .seconds(10)
        self.configuration = configuration
    }

    /// The requests so far.
    package var seen: [Request] { log.requests.withLock(\.self) }

    package func stop() async throws { try await server.close() }

    private final class Log: Sendable {
        let requests = Mutex<[Request]>([])
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart

        private let log: Log
        private let answer: @Sendable (Int, Request) -> Answer
        private var head: HTTPRequestHead?
        private var body: [UInt8] = []

        init(_ log: Log, _ answer: @escaping @Sendable (Int, Request) -> Answer) {
            self.log = log
            self.answer = answer
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head): self.head = head
            case .body(let part): body += Array(part.readableBytesView)
            case .end:
                let request = Request(headers: head?.headers ?? [:], body: (try? JSON.decode(body)) ?? .null)
                let number = log.requests.withLock { requests in
                    requests.append(request)
                    return requests.count - 1
                }
                respond(answer(number, request), context)
            }
        }

        private func respond(_ answer: Answer, _ context: ChannelHandlerContext) {
            switch answer {
            case .silence: break
            case .close: context.close(promise: nil)
            case .http(let status, let headers, let text):
                var head = HTTPResponseHead(version: .http1_1, status: HTTPResponseStatus(statusCode: status))
                for (name, value) in headers { head.headers.add(name: name, value: value) }
                head.headers.add(name: "Content-Length", value: String(text.utf8.count))
                context.write(wrapOutboundOut(.head(head)), promise: nil)
                let bytes = context.channel.allocator.buffer(string: text)
                context.write(wrapOutboundOut(.body(.byteBuffer(bytes))), promise: nil)
                context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
            }
        }
    }
}
