/// A program on the seedbox whose input, output and errors are files here.
import Calls
import Foundation
import NIOCore
import Notation
import Seedbox

/// Carries one `exec` call's lanes to and from files.
struct RemoteProgram: Sendable {
    var input: InputFile?
    var output: OutputFile
    var error: OutputFile
    var interruption: Interruption

    /// Returns the exit status to leave with; throws the `Problem` of a program that could not be run.
    func run(_ call: OutgoingCall) async throws -> Int32 {
        interruption.runs(call)
        // Waits on standard input, and a read cannot be called off: it must not hold up the end.
        let feeding = input.map { input in Task { await Self.feed(call, from: input) } }
        defer { feeding?.cancel() }
        guard await copy(call) else {
            call.cancel()
            return 128 + SIGPIPE
        }
        do {
            let result = try await call.result()
            if let signal = interruption.signal { return 128 + signal }
            return Self.exitStatus(result)
        } catch {
            if let signal = interruption.signal { return 128 + signal }
            throw error
        }
    }

    /// Writes what comes, on a terminal so that nothing in it acts; false where nobody reads any more.
    private func copy(_ call: OutgoingCall) async -> Bool {
        let files = [output, error]
        var streams = files.map { $0.isTerminal ? VisibleStream() : nil }
        for await event in call.events {
            guard case .data(let lane, let bytes) = event else { continue }
            let number = lane == ExecLane.errors ? 1 : 0
            guard await files[number].write(streams[number]?.received(bytes) ?? bytes) else { return false }
        }
        for (number, file) in files.enumerated() {
            guard let rest = streams[number]?.ended(), rest.readableBytes > 0 else { continue }
            guard await file.write(rest) else { return false }
        }
        return true
    }

    static func exitStatus(_ result: Value) -> Int32 {
        if let status = result["status"]?.int { return Int32(truncatingIfNeeded: status & 0xFF) }
        if let signal = result["signal"]?.int { return 128 + Int32(truncatingIfNeeded: signal & 0x7F) }
        return Problem.Code.agentUnexpected.exitCode
    }

    private static func feed(_ call: OutgoingCall, from input: InputFile) async {
        do {
            while let bytes = await input.read() {
                try await call.send(bytes, lane: ExecLane.input)
                if Task.isCancelled { return }
            }
            try await call.end(lane: ExecLane.input)
        } catch {
            // The connection is over; the reader of the output tells why.
        }
    }
}
