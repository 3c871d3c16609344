/// A login with a shell's powers on the seedbox, for setting the agent up: commands one after the other.
import Calls
package import NIOCore
import SSH
import Seedbox

package final class AdminSession: Sendable {
    /// What a command wrote and how it ended.
    package struct Outcome: Sendable, Hashable {
        /// Nil where a signal ended it.
        package var status: Int32?
        package var output: [UInt8]
        /// The first of what came on standard error.
        package var errors: [UInt8]

        package init(status: Int32?, output: [UInt8], errors: [UInt8]) {
            self.status = status
            self.output = output
            self.errors = errors
        }
    }

    /// Bytes of standard error that are kept; more is dropped.
    private static let mostErrors = 2_048
    /// Bytes that are handed over at once: what is said of progress is true to this much.
    private static let piece = 32_768
    /// A command has this long, and longer for its input at the slowest rate that is waited for.
    private static let patience = Duration.seconds(90)
    private static let slowest = 4_096

    private let ssh: SSHConnection

    init(_ ssh: SSHConnection) { self.ssh = ssh }

    /// Runs `command` in the login shell with `input`; throws a `Problem` where the connection fails or too much comes.
    ///
    /// - Parameter sent: told how many bytes of the input have gone so far.
    package func run(
        _ command: String,
        input: ByteBuffer = ByteBuffer(),
        mostOutput: Int,
        sent: @escaping @Sendable (Int) -> Void = { _ in }
    ) async throws -> Outcome {
        let overdue = Problem(
            .timedOut,
            "The seedbox did not finish a step of the installation in time. It may be overloaded; try again later."
        )
        do {
            let channel = try await ssh.exec(command)
            do {
                let limit = Self.patience + .seconds(input.readableBytes / Self.slowest)
                let outcome = try await within(limit, orThrow: overdue) {
                    try await Self.drive(channel, input, mostOutput: mostOutput, sent)
                }
                await channel.close()
                return outcome
            } catch {
                await channel.close()
                throw error
            }
        } catch let error as SSHError {
            try Task.checkCancellation()
            throw DialFailure(error, at: .login).problem
        }
    }

    /// Logs out; returns when the descriptor is closed.
    package func end() async { await ssh.close() }

    private static func drive(
        _ channel: SSHChannel,
        _ input: ByteBuffer,
        mostOutput: Int,
        _ sent: @escaping @Sendable (Int) -> Void
    ) async throws -> Outcome {
        // Beside the reading; a command that ends early must not be waited for by it.
        let writing = Task { await write(input, to: channel, sent) }
        return try await withTaskCancellationHandler {
            defer { writing.cancel() }
            var outcome = Outcome(status: nil, output: [], errors: [])
            while let read = try await channel.read() {
                switch read {
                case .stdout(let bytes):
                    guard outcome.output.count + bytes.readableBytes <= mostOutput else {
                        throw Problem(.tooLarge, "The seedbox answers with more than the installation ever expects.")
                    }
                    outcome.output += bytes.readableBytesView
                case .stderr(let bytes):
                    outcome.errors += bytes.readableBytesView.prefix(mostErrors - outcome.errors.count)
                }
            }
            if case .status(let status) = try await channel.exit() { outcome.status = status }
            return outcome
        } onCancel: {
            writing.cancel()
        }
    }

    /// A command that ends early takes no more; how it ended tells why.
    private static func write(_ input: ByteBuffer, to channel: SSHChannel, _ sent: @Sendable (Int) -> Void) async {
        var rest = input
        while let bytes = rest.readSlice(length: min(piece, rest.readableBytes)), bytes.readableBytes > 0 {
            guard (try? await channel.write(bytes)) != nil else { return }
            sent(input.readableBytes - rest.readableBytes)
        }
        try? await channel.sendEOF()
    }
}
