/// Reads a password: at a terminal twice and without echo, otherwise one line of standard input.
import Foundation
import NIOCore
import Seedbox
import Store

enum PasswordEntry {
    /// The most bytes of the line; the longest password is shorter.
    private static let longest = 4096

    /// The password for the user, which follows the rules.
    static func read(for name: String) async throws -> String {
        let input = InputFile(STDIN_FILENO)
        guard isatty(STDIN_FILENO) == 1 else {
            guard let password = try await line(input) else {
                throw Problem(
                    .badRequest,
                    "No password came on standard input, so nothing was changed. Pipe one line in, or use a terminal."
                )
            }
            try AccountRules.check(password: password, name: name)
            return password
        }
        return try await withoutEcho {
            guard let password = try await asked("Password for \(name): ", input) else { throw cancelled }
            try AccountRules.check(password: password, name: name)
            guard let again = try await asked("The same again: ", input) else { throw cancelled }
            guard password == again else {
                throw Problem(.badRequest, "The two passwords differ, so nothing was changed. Try again.")
            }
            return password
        }
    }

    private static let cancelled = Problem(.cancelled, "No password was given, so nothing was changed.")

    private static func asked(_ question: String, _ input: InputFile) async throws -> String? {
        OutputFile.error.write(now: question)
        return try await line(input)
    }

    /// Without the line's end; nil where there is none.
    private static func line(_ input: InputFile) async throws -> String? {
        var line = ByteBuffer()
        while !line.readableBytesView.contains(UInt8(ascii: "\n")), let piece = await input.read() {
            guard line.readableBytes + piece.readableBytes <= longest else {
                throw Problem(.badRequest, "A password has 12 to 256 characters, and this line is far longer.")
            }
            line.writeImmutableBuffer(piece)
        }
        guard line.readableBytes > 0 else { return nil }
        var bytes = line.readableBytesView.prefix { $0 != UInt8(ascii: "\n") }
        if bytes.last == UInt8(ascii: "\r") { bytes = bytes.dropLast() }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw Problem(.badRequest, "This password is not UTF-8. Choose another, or set the terminal to UTF-8.")
        }
        return text
    }

    /// Runs `body` with the terminal's echo off, and puts it back also where a signal ends the process.
    private static func withoutEcho<Success: Sendable>(_ body: () async throws -> Success) async throws -> Success {
        var before = termios()
        guard tcgetattr(STDIN_FILENO, &before) == 0 else {
            throw Problem(
                .refused,
                "This terminal's echo cannot be turned off: \(systemReason(errno)). Pipe the password in instead."
            )
        }
        var silent = before
        silent.c_lflag &= ~tcflag_t(ECHO)
        silent.c_lflag |= tcflag_t(ECHONL)
        let signals = EndingSignals.stream()
        let watch = Task { [before] in
            for await _ in signals {
                restore(before)
                OutputFile.error.print(["", Failure.line(cancelled)])
                exit(cancelled.code.exitCode)
            }
        }
        defer {
            watch.cancel()
            restore(before)
        }
        // What was typed ahead, with echo, is thrown away.
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent)
        return try await body()
    }

    private static func restore(_ modes: termios) {
        var modes = modes
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &modes)
    }
}
