/// Runs `farseed` on a pseudo-terminal, as a person sees it.
import Foundation
import Synchronization

final class TerminalRun: Sendable {
    private let master: FileHandle
    private let process: Process
    private let shown = Mutex(Data())

    /// 100 columns, 20 rows.
    init(_ arguments: [String], in directory: URL, environment: [String: String] = [:]) throws {
        var (master, slave): (Int32, Int32) = (-1, -1)
        var size = winsize(ws_row: 20, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0)
        guard openpty(&master, &slave, nil, nil, &size) == 0 else { throw CocoaError(.fileReadUnknown) }
        self.master = FileHandle(fileDescriptor: master, closeOnDealloc: true)
        let terminal = FileHandle(fileDescriptor: slave, closeOnDealloc: true)
        process = Process()
        process.executableURL = CommandRun.program
        process.arguments = arguments
        process.environment = ["STATE_DIRECTORY": directory.path, "PATH": "/usr/bin:/bin", "TERM": "xterm"]
            .merging(environment) { $1 }
        process.standardInput = terminal
        process.standardOutput = terminal
        process.standardError = terminal
        try process.run()
        Thread.detachNewThread { [self] in
            while case let data = self.master.availableData, !data.isEmpty { shown.withLock { $0 += data } }
        }
    }

    var text: String { shown.withLock { String(decoding: $0, as: UTF8.self) } }

    func type(_ text: String) throws { try master.write(contentsOf: Data(text.utf8)) }

    /// True once `text` has been shown; false where it is not within 20 seconds.
    func shows(_ text: String) async throws -> Bool {
        try await holds { self.text.contains(text) }
    }

    /// The exit status; nil, and the end of it, where it does not come.
    func status() async throws -> Int32? {
        guard try await holds({ !self.process.isRunning }) else {
            kill(process.processIdentifier, SIGKILL)
            return nil
        }
        return process.terminationStatus
    }

    private func holds(_ condition: () -> Bool) async throws -> Bool {
        let deadline = ContinuousClock.now + .seconds(20)
        while !condition() {
            guard ContinuousClock.now < deadline else { return false }
            try await Task.sleep(for: .milliseconds(10))
        }
        return true
    }
}
