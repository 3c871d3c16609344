/// A daemon's control socket in the test's own process, with whatever answers the test wants.
import Calls
import Foundation
import NIOCore
import NIOPosix
import Notation
import Seedbox
import Wire

struct FakeDaemon: CallHandler {
    typealias Answer = @Sendable (IncomingCall) async throws -> Value

    /// What an answer throws in place of one: the connection ends at once, as that of a daemon which has died.
    struct Death: Error {}

    let directory: URL
    private let answers: [String: Answer]
    /// Of the connection that this one serves.
    private var stream: ChannelByteStream?

    private init(directory: URL, answers: [String: Answer]) {
        self.directory = directory
        self.answers = answers
    }

    /// Listens while `body` runs; the directory holds the socket and goes with it.
    static func with(
        _ answers: [String: Answer],
        _ body: @Sendable (FakeDaemon) async throws -> Void
    ) async throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "farseed-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let daemon = FakeDaemon(directory: directory, answers: answers)
        let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .bind(unixDomainSocketPath: directory.appending(path: "control.sock").path) { channel in
                ChannelByteStream.install(on: channel)
            }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await server.executeThenClose { connections in
                    await withDiscardingTaskGroup { group in
                        do {
                            for try await stream in connections {
                                group.addTask { await daemon.serve(stream) }
                            }
                        } catch {
                            // The test is over.
                        }
                        group.cancelAll()
                    }
                }
            }
            defer { group.cancelAll() }
            try await body(daemon)
        }
    }

    private func serve(_ stream: ChannelByteStream) async {
        var handler = self
        handler.stream = stream
        let connection = CallConnection(
            stream: stream,
            hello: Hello(software: "farseed test", capabilities: ["exec", "watch"]),
            side: .callee,
            handler: handler
        )
        try? await connection.run()
    }

    func handle(_ call: IncomingCall) async throws -> Value {
        guard let answer = answers[call.procedure] else {
            throw Problem(.unknownProcedure, "The test does not answer \(call.procedure).")
        }
        do {
            return try await answer(call)
        } catch let death as Death {
            await stream?.close()
            throw death
        }
    }
}
