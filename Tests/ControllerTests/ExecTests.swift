/// `farseed exec` against a daemon's socket: lanes, status, signals, loss and Ctrl-C, as `ssh host command`.
import Calls
import Foundation
import NIOCore
import NIOPosix
import Notation
import Seedbox
import Synchronization
import Testing

@testable import Controller

/// The line as the short way takes it, on one thread, and as the parser does.
private let lines = [["exec", "-b", "vps", "--"], ["exec", "-b", "vps"]]

@Suite struct ExecTests {
    @Test func `output and errors are separate, and the status is the program's own`() async throws {
        let arguments = Mutex<Value>(.null)
        let answer: FakeDaemon.Answer = { call in
            arguments.withLock { $0 = call.arguments }
            try await call.send(ByteBuffer(string: "out\u{1B}[0m\n"), lane: 1)
            try await call.send(ByteBuffer(string: "err\n"), lane: 2)
            return ["status": 7]
        }
        try await FakeDaemon.with(["exec": answer]) { daemon in
            let run = try await CommandRun.farseed(
                ["exec", "--box", "vps", "--", "transmission-remote", "-l", "--", "-x"],
                in: daemon.directory
            )
            #expect(run.status == 7)
            #expect(run.text == "out\u{1B}[0m\n")
            #expect(run.errors == "err\n")
        }
        #expect(
            arguments.withLock { $0 } == ["box": "vps", "argv": ["transmission-remote", "-l", "--", "-x"]]
        )
    }

    @Test(arguments: lines)
    func `on a terminal nothing in the output acts, in a pipe every byte stays`(line: [String]) async throws {
        let sent = "1 \u{1B}[2J\u{1B}]0;pwned\u{7}\u{202E}gpj\tx\roverwritten 🧅\r\n"
        let answer: FakeDaemon.Answer = { call in
            // In pieces, so that the parts of one character come apart.
            for byte in sent.utf8 { try await call.send(ByteBuffer(bytes: [byte]), lane: 1) }
            try await call.send(ByteBuffer(bytes: [0x9B] + Array("31m\u{8}errors\r".utf8)), lane: 2)
            return ["status": 3]
        }
        try await FakeDaemon.with(["exec": answer]) { daemon in
            let command = line + ["x"]
            let terminal = try TerminalRun(command, in: daemon.directory)
            #expect(try await terminal.status() == 3)
            #expect(try await terminal.shows("\u{FFFD}31m␈errors␍"))
            #expect(terminal.text.contains("1 ␛[2J␛]0;pwned␇⟨202E⟩gpj\tx␍overwritten 🧅\r\n"))
            #expect(!terminal.text.contains("\u{1B}"))

            let piped = try await CommandRun.farseed(command, in: daemon.directory)
            #expect(piped.text == sent)
        }
    }

    @Test(arguments: lines)
    func `input is carried raw, to its end`(line: [String]) async throws {
        let answer: FakeDaemon.Answer = { call in
            for await input in call.inputs {
                switch input {
                case .data(0, let bytes): try await call.send(bytes, lane: 1)
                case .end(0): return ["status": 0]
                default: break
                }
            }
            return ["status": 99]
        }
        let bytes = Data(
            (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 7919 >> 3) } + [UInt8](repeating: 7, count: 900_000)
        )
        try await FakeDaemon.with(["exec": answer]) { daemon in
            let run = try await CommandRun.farseed(line + ["cat"], in: daemon.directory, input: bytes)
            #expect(run.status == 0)
            // Not `#expect(a == b)`, which would work out the difference of a million bytes.
            let isSame = run.output == bytes
            #expect(isSame)
            for none in [["-n", "cat"], ["cat"], ["--", "cat"]] {
                let run = try await CommandRun.farseed(["exec", "-b", "vps"] + none, in: daemon.directory)
                #expect(run.status == 0 && run.output.isEmpty)
            }
        }
    }

    @Test func `whether there is input is seen without reading any`() async throws {
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        let input = InputFile(ends[0])
        #expect(!input.isOver)
        try #require(write(ends[1], "abc", 3) == 3)
        #expect(!input.isOver)
        close(ends[1])
        #expect(!input.isOver)
        #expect(await input.read() == ByteBuffer(string: "abc"))
        #expect(input.isOver)
        #expect(await input.read() == nil)
        close(ends[0])

        try await withDirectory { directory in
            let path = directory.appending(path: "input").path
            try "abc".write(toFile: path, atomically: false, encoding: .utf8)
            let file = open(path, O_RDONLY)
            defer { close(file) }
            #expect(!InputFile(file).isOver)
            var bytes: [UInt8] = [0, 0, 0, 0]
            #expect(read(file, &bytes, 4) == 3 && bytes == Array("abc\0".utf8))
            #expect(InputFile(file).isOver)
        }
        for (path, isOver) in [("/dev/null", true), ("/dev/zero", false)] {
            let device = open(path, O_RDONLY)
            #expect(InputFile(device).isOver == isOver)
            close(device)
        }
        // Where there is no standard input at all.
        #expect(InputFile(1_000_000).isOver)
    }

    @Test(arguments: lines)
    func `a program that a signal ended gives 128 and its number`(line: [String]) async throws {
        try await FakeDaemon.with(["exec": { _ in ["signal": 9] }]) { daemon in
            let run = try await CommandRun.farseed(line + ["x"], in: daemon.directory)
            #expect(run.status == 137)
        }
    }

    @Test(arguments: lines)
    func `what is refused has its own code and one line`(line: [String]) async throws {
        let answer: FakeDaemon.Answer = { _ in throw Problem(.programMissing, "There is no\nsuch program.") }
        try await FakeDaemon.with(["exec": answer]) { daemon in
            let run = try await CommandRun.farseed(line + ["x"], in: daemon.directory)
            #expect(run.status == 59)
            #expect(run.errors == "farseed: There is no␊such program.\n")
        }
    }

    @Test(arguments: lines)
    func `where the connection is lost it says what is known of the program, and what to do`(line: [String])
        async throws
    {
        let lost: FakeDaemon.Answer = { call in
            try await call.send(ByteBuffer(string: "so far\n"), lane: 1)
            throw Problem(.connectionLost, "The seedbox has not answered.")
        }
        try await FakeDaemon.with(["exec": lost]) { daemon in
            let run = try await CommandRun.farseed(line + ["x"], in: daemon.directory)
            #expect(run.status == Problem.Code.connectionLost.exitCode && run.text == "so far\n")
            #expect(run.errors.hasPrefix("farseed: The seedbox has not answered. Whether the program has run"))
            #expect(run.errors.contains("before you run it again"))
        }
        // Where it was not sent, there is no doubt.
        let down: FakeDaemon.Answer = { _ in throw Problem(.linkDown, "The link is down.") }
        try await FakeDaemon.with(["exec": down]) { daemon in
            let run = try await CommandRun.farseed(line + ["x"], in: daemon.directory)
            #expect(run.status == Problem.Code.linkDown.exitCode && run.errors == "farseed: The link is down.\n")
        }
    }

    @Test(arguments: lines)
    func `Ctrl-C ends the program there, and us with 130`(line: [String]) async throws {
        // The program may ask its daemon before we are told its number.
        let (processes, started) = AsyncStream<Int32>.makeStream()
        let cancelled = Mutex(false)
        let answer: FakeDaemon.Answer = { call in
            for await process in processes {
                kill(process, SIGINT)
                break
            }
            do {
                try await Task.sleep(for: .seconds(20))
            } catch {
                cancelled.withLock { $0 = true }
                return ["signal": 15]
            }
            return ["status": 0]
        }
        try await FakeDaemon.with(["exec": answer]) { daemon in
            let run = try await CommandRun.farseed(line + ["sleep"], in: daemon.directory) { pid in
                started.yield(pid)
            }
            #expect(run.status == 130)
        }
        #expect(cancelled.withLock { $0 })
    }

    @Test(arguments: lines)
    func `Ctrl-C ends us at once while nothing runs there yet`(line: [String]) async throws {
        let (processes, started) = AsyncStream<Int32>.makeStream()
        let (connections, came) = AsyncStream<Void>.makeStream()
        try await withDirectory { directory in
            // A daemon that hangs; its greeting is waited for for ten seconds.
            let silent = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .childChannelInitializer { channel in
                    came.yield()
                    return channel.eventLoop.makeSucceededVoidFuture()
                }
                .bind(unixDomainSocketPath: directory.appending(path: "control.sock").path).get()
            async let run = CommandRun.farseed(line + ["x"], in: directory) { started.yield($0) }
            for await _ in connections { break }
            for await process in processes {
                kill(process, SIGINT)
                break
            }
            #expect(try await run.status == 130)
            try await silent.close()
        }
    }

    @Test(arguments: lines)
    func `a second Ctrl-C waits for nothing, also where nobody reads the output`(line: [String]) async throws {
        let (processes, started) = AsyncStream<Int32>.makeStream()
        let second = Mutex<ContinuousClock.Instant?>(nil)
        let (endings, over) = AsyncStream<Void>.makeStream()
        // Detached, so that it is not called off with the call: this program ends with the test only.
        let endless = Task.detached { for await _ in endings {} }
        let answer: FakeDaemon.Answer = { call in
            guard let process = await processes.first(where: { _ in true }) else { return ["status": 99] }
            do {
                for piece in 0... {
                    // More than the pipe takes; with that, as much as is sent without more credit is not read yet.
                    if piece == 48 { kill(process, SIGINT) }
                    try await call.send(ByteBuffer(repeating: 7, count: 4096), lane: 1)
                }
            } catch {}
            second.withLock { $0 = .now }
            kill(process, SIGINT)
            await endless.value
            return ["status": 0]
        }
        try await FakeDaemon.with(["exec": answer]) { daemon in
            let process = Process()
            process.executableURL = CommandRun.program
            process.arguments = line + ["yes"]
            process.environment = ["STATE_DIRECTORY": daemon.directory.path]
            process.standardInput = FileHandle.nullDevice
            let unread = Pipe()
            process.standardOutput = unread
            let (statuses, ended) = AsyncStream<Int32>.makeStream()
            process.terminationHandler = { ended.yield($0.terminationStatus) }
            try process.run()
            started.yield(process.processIdentifier)
            defer {
                over.finish()
                if process.isRunning { kill(process.processIdentifier, SIGKILL) }
            }
            let overdue = Problem(.timedOut, "It has not ended.")
            let status = try await within(.seconds(20), orThrow: overdue) { await statuses.first(where: { _ in true }) }
            #expect(status == 130)
            let took = try #require(second.withLock { $0 }).duration(to: .now)
            // Without it, the program gets five seconds.
            #expect(took < .seconds(3), "\(took)")
        }
    }

    @Test(arguments: lines)
    func `much output arrives whole and in order`(line: [String]) async throws {
        let answer: FakeDaemon.Answer = { call in
            for number in 0..<2000 {
                try await call.send(ByteBuffer(repeating: UInt8(truncatingIfNeeded: number), count: 5000), lane: 1)
            }
            return ["status": 0]
        }
        try await FakeDaemon.with(["exec": answer]) { daemon in
            let run = try await CommandRun.farseed(line + ["x"], in: daemon.directory)
            let expected = (0..<2000).reduce(into: Data()) {
                $0.append(Data(repeating: UInt8(truncatingIfNeeded: $1), count: 5000))
            }
            let isSame = run.output == expected
            #expect(run.output.count == expected.count)
            #expect(isSame)
        }
    }

    @Test func `nothing to run is wrong usage`() async throws {
        let run = try await CommandRun.farseed(["exec", "--"], in: FileManager.default.temporaryDirectory)
        #expect(run.status == 64)
        #expect(run.errors.contains("What shall run?"))
    }
}
