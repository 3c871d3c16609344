/// Runs the real `farseed` program in a process of its own.
import Foundation
import Testing

struct CommandRun: Sendable {
    var status: Int32
    var output: Data
    var errors: String

    var text: String { String(decoding: output, as: UTF8.self) }

    /// The program beside the test's own binary.
    static let program: URL = {
        let own = URL(filePath: try! FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
        let candidates =
            [own.deletingLastPathComponent()]
            + CommandLine.arguments.map {
                URL(filePath: $0).deletingLastPathComponent()
            }
        for directory in candidates {
            let program = directory.appending(path: "farseed")
            if FileManager.default.isExecutableFile(atPath: program.path) { return program }
        }
        fatalError("farseed is not beside the tests; run `swift build` first.")
    }()

    /// How long any command may take here.
    private static let limit = DispatchTimeInterval.seconds(60)

    static func farseed(
        _ arguments: [String],
        in directory: URL,
        input: Data? = nil,
        environment: [String: String] = [:],
        started: (@Sendable (Int32) -> Void)? = nil
    ) async throws -> CommandRun {
        let process = Process()
        process.executableURL = program
        process.arguments = arguments
        process.environment = ["STATE_DIRECTORY": directory.path, "PATH": "/usr/bin:/bin"].merging(environment) { $1 }
        let (output, errors, entry) = (Pipe(), Pipe(), Pipe())
        process.standardOutput = output
        process.standardError = errors
        process.standardInput = input == nil ? FileHandle.nullDevice : entry
        // Threads of their own: whatever waits here must not take one from the tests' pool.
        return try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread {
                do {
                    try process.run()
                } catch {
                    return continuation.resume(throwing: error)
                }
                started?(process.processIdentifier)
                // Both pipes are read while it runs: a full one would stop it.
                let readers = [output, errors].map { Reader($0.fileHandleForReading) }
                if let input {
                    Thread.detachNewThread {
                        try? entry.fileHandleForWriting.write(contentsOf: input)
                        try? entry.fileHandleForWriting.close()
                    }
                }
                let ended = readers.map { $0.finished(by: .now() + limit) }
                if ended.contains(false) { kill(process.processIdentifier, SIGKILL) }
                process.waitUntilExit()
                continuation.resume(
                    returning: CommandRun(
                        status: process.terminationStatus,
                        output: readers[0].data,
                        errors: String(decoding: readers[1].data, as: UTF8.self)
                    )
                )
            }
        }
    }

    /// Reads a pipe to its end in a thread.
    // `data` is written before the semaphore is signalled and read after that.
    private final class Reader: @unchecked Sendable {
        private(set) var data = Data()
        private let done = DispatchSemaphore(value: 0)

        init(_ file: FileHandle) {
            Thread.detachNewThread { [self] in
                data = (try? file.readToEnd()) ?? Data()
                done.signal()
            }
        }

        func finished(by deadline: DispatchTime) -> Bool { done.wait(timeout: deadline) == .success }
    }
}
