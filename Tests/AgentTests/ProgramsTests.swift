import Calls
import Foundation
import NIOCore
import Notation
import Seedbox
import Synchronization
import TestSupport
import Testing
import Wire

@testable import Agent

/// Real programs, started by `exec` over a connection.
@Suite(.timeLimit(.minutes(2))) struct ProgramsTests {
    private func shell(_ more: String = "") throws -> AgentConfiguration {
        try AgentConfiguration(parsing: "allow-exec /bin/sh\nallow-exec /bin/cat\nallow-exec /usr/bin/env\n" + more)
    }

    private func run(_ script: String, input: String? = nil, _ more: String = "") async throws -> Execution {
        try await ServedAgent(try shell(more)).withConnection {
            try await Execution($0, ["/bin/sh", "-c", script], input: input)
        }
    }

    @Test func `output, errors and status come back`() async throws {
        let result = try await run("echo out; echo err >&2; exit 7")
        #expect(result.output == "out\n")
        #expect(result.errors == "err\n")
        #expect(result.reply == ["status": 7])
    }

    @Test func `a signal is told as such`() async throws {
        #expect(try await run("kill -9 $$").reply == ["signal": 9])
    }

    @Test func `input is streamed, in both directions more than any buffer holds`() async throws {
        let text = String(repeating: "0123456789abcdef", count: 100_000)
        let agent = ServedAgent(try shell())
        let output = try await agent.withConnection { connection in
            let call = try await connection.open("exec", ["argv": ["/bin/cat"]])
            return try await withThrowingTaskGroup(of: String?.self) { group in
                group.addTask {
                    try await call.send(ByteBuffer(string: text), lane: 0)
                    try await call.end(lane: 0)
                    return nil
                }
                group.addTask {
                    var output = ""
                    for await case .data(1, let bytes) in call.events { output += String(buffer: bytes) }
                    return output
                }
                var whole = ""
                for try await part in group { whole += part ?? "" }
                #expect(try await call.result() == ["status": 0])
                return whole
            }
        }
        #expect(output == text)
    }

    @Test func `a program that closes its input early does no harm`() async throws {
        let agent = ServedAgent(try shell())
        try await agent.withConnection { connection in
            let text = String(repeating: "x", count: 2_000_000)
            let result = try await Execution(connection, ["/bin/sh", "-c", "exec 0<&-; echo done"], input: text)
            #expect(result.output == "done\n")
            #expect(result.reply == ["status": 0])
            // And the connection is as good as before.
            #expect(try await Execution(connection, ["/bin/sh", "-c", "echo again"]).output == "again\n")
        }
    }

    @Test func `the environment is what is configured and nothing else`() async throws {
        let usual: Set<Substring> = ["PATH=/usr/bin:/bin", "LANG=C.UTF-8"]
        for (more, added) in [("", []), ("exec-environment TZ=UTC\nexec-environment A=b=$c", ["TZ=UTC", "A=b=$c"])] {
            let agent = ServedAgent(try shell(more), account: Account(user: "me", password: "pass-word-1234"))
            let result = try await agent.withConnection { try await Execution($0, ["/usr/bin/env"]) }
            #expect(Set(result.output.split(separator: "\n")) == usual.union(added.map { $0[...] }))
        }
    }

    @Test func `signals that we ignore are not ignored by programs`() async throws {
        let result = try await run("grep SigIgn /proc/self/status")
        let mask = try #require(result.output.split(separator: "\t").last.flatMap { UInt64($0.dropLast(), radix: 16) })
        // 32 and 33 are the C library's own.
        #expect(mask & 0x7FFF_FFFF == 0)
    }

    @Test func `arguments are passed as they are`() async throws {
        let hostile = ["$(touch pwned)", "a\nb", "; id", "\u{1B}[31m", "🧅", "", "*"]
        let agent = ServedAgent(try shell())
        let result = try await agent.withConnection {
            try await Execution($0, ["/bin/sh", "-c", "for a; do printf '%s|' \"$a\"; done", "sh"] + hostile)
        }
        #expect(result.output == hostile.map { $0 + "|" }.joined())
    }

    @Test func `the password goes along in the environment, where ps does not show it`() async throws {
        let temporary = try TemporaryDirectory()
        let script = """
            #!/bin/sh
            tr '\\0' ' ' < /proc/$$/cmdline
            [ "$TR_AUTH" = me:pass-word-1234 ] && [ "$TZ" = UTC ] && echo authorized
            echo "$TR_AUTH"
            """
        let remote = try temporary.write("transmission-remote", script, mode: 0o700)
        let account = Account(user: "me", password: "pass-word-1234")
        let agent = ServedAgent(
            try shell("transmission-remote \(remote)\nexec-environment TZ=UTC"),
            account: account
        )
        let execution = try await agent.withConnection { try await Execution($0, ["transmission-remote", "-l"]) }
        #expect(execution.reply == ["status": 0])
        #expect(execution.output.contains("-ne"))
        #expect(execution.output.contains("authorized\n****"))
        #expect(!execution.output.contains("pass-word"))
    }

    @Test func `too much output ends the program`() async throws {
        let problem = await #expect(throws: Problem.self) {
            try await run("yes", "exec-output-limit 1M")
        }
        #expect(problem?.code == .tooLarge)
    }

    @Test func `too long ends the program and its children`() async throws {
        let start = ContinuousClock.now
        let problem = await #expect(throws: Problem.self) {
            try await run("sleep 300 & sleep 300", "exec-time-limit 1")
        }
        #expect(problem?.code == .timedOut)
        #expect(ContinuousClock.now - start < .seconds(30))
    }

    @Test(arguments: [false, true])
    func `giving up or losing the connection ends the whole group`(_ isLoss: Bool) async throws {
        let launched = Mutex<ChildProcess?>(nil)
        let agent = ServedAgent(
            try shell(),
            launch: { path, arguments, environment throws(ChildProcess.Failure) in
                let child = try ChildProcess.start(path, arguments, environment)
                launched.withLock { $0 = child }
                return child
            }
        )
        // The shell ignores the polite signal, and so does its child.
        let script = "trap '' TERM; (trap '' TERM; echo up; sleep 300) & wait; sleep 300"
        try await agent.withConnection { (connection) async throws -> Void in
            let call = try await connection.open("exec", ["argv": ["/bin/sh", "-c", .string(script)]])
            var events = call.events.makeAsyncIterator()
            guard case .data(1, _) = await events.next() else {
                Issue.record("the program said nothing")
                return
            }
            if isLoss {
                await connection.close()
            } else {
                call.cancel()
                await #expect(throws: (any Error).self) { try await call.result() }
            }
        }
        let started = launched.withLock { $0 }
        let child = try #require(started)
        // `withConnection` returns when the agent has let go of the connection: the signals are sent by now.
        let deadline = ContinuousClock.now + .seconds(10)
        while !members(of: child.pid).isEmpty, ContinuousClock.now < deadline { await Task.yield() }
        #expect(members(of: child.pid) == [])
    }

    /// Living processes of a group; what only waits to be collected by its new parent does not count.
    private func members(of group: pid_t) -> [String] {
        let processes = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return processes.filter { process in
            guard pid_t(process) != nil, let text = SmallFile.text("/proc/\(process)/stat"),
                let name = text.lastIndex(of: ")")
            else { return false }
            let fields = text[text.index(after: name)...].split(separator: " ")
            return fields.count > 2 && fields[0] != "Z" && fields[2] == "\(group)"
        }
    }

    @Test func `a child that outlives its parent does not hold the call`() async throws {
        let start = ContinuousClock.now
        let result = try await run("sleep 300 & echo parent")
        #expect(result.output == "parent\n")
        #expect(result.reply == ["status": 0])
        #expect(ContinuousClock.now - start < .seconds(30))
    }

    @Test func `a key runs a program once`() async throws {
        let temporary = try TemporaryDirectory()
        let mark = temporary.path + "/mark"
        let agent = ServedAgent(try shell(), state: temporary.state)
        for expected in [["status": 0], ["status": 0, "repeated": true]] as [Value] {
            let reply = try await agent.withConnection {
                try await Execution($0, ["/bin/sh", "-c", "echo x >> \(mark)"], key: "once").reply
            }
            #expect(reply == expected)
        }
        #expect(SmallFile.text(mark) == "x\n")
    }

    @Test(
        arguments: [
            ["argv": []], ["argv": "ls"], ["argv": [1]], [:], .null, ["argv": ["/bin/ls"]],
            ["argv": ["sh", "-c", "id"]],
        ] as [Value]
    )
    func `what is not allowed is not started`(_ arguments: Value) async throws {
        let agent = ServedAgent(
            try shell(),
            launch: { path, _, _ throws(ChildProcess.Failure) in
                Issue.record("\(path) was started")
                throw ChildProcess.Failure(number: EPERM, message: "")
            }
        )
        try await agent.withConnection { (connection) async throws -> Void in
            await #expect(throws: Problem.self) { try await connection.call("exec", arguments) }
        }
    }

    @Test(arguments: [Role.read, .bulk])
    func `other roles run and change nothing`(_ role: Role) async throws {
        let agent = ServedAgent(try shell())
        try await agent.withConnection(role) { connection in
            for procedure in ["exec", "torrent.start", "torrent.remove", "session.set", "torrent.get"] {
                let problem = await #expect(throws: Problem.self) {
                    try await connection.call(procedure, ["argv": ["/bin/sh"]])
                }
                #expect(problem?.code == .notPermitted)
            }
            let hello = try await connection.peerHello()
            #expect(hello.role == role.rawValue)
        }
    }

    @Test func `an older controller is sent away`() async throws {
        let temporary = try TemporaryDirectory()
        let agent = ServedAgent(try shell(), state: temporary.state)
        _ = try await agent.withConnection(epoch: 7) { try await $0.call("status") }
        let problem = await #expect(throws: Problem.self) {
            try await agent.withConnection(epoch: 6) { try await $0.call("status") }
        }
        #expect(problem?.code == .controllerOutdated)
        // A key that only reads cannot lock the owner out.
        _ = try await agent.withConnection(.read, epoch: 100) { try await $0.call("status") }
        _ = try await agent.withConnection(epoch: 8) { try await $0.call("status") }
    }

    /// A connection each: the first that is no frame ends its connection, and what came after it would prove nothing.
    @Test func `ten thousand mutated frames start nothing that is not allowed`() async throws {
        let started = Mutex<[String: Int]>([:])
        let agent = ServedAgent(
            try AgentConfiguration(parsing: "transmission-remote /bin/true\nallow-exec /bin/echo allowed"),
            launch: { path, arguments, _ throws(ChildProcess.Failure) in
                let fits = path == "/bin/true" || arguments == ["/bin/echo", "allowed"]
                started.withLock { $0[fits ? path : "\(path) \(arguments)", default: 0] += 1 }
                throw ChildProcess.Failure(number: ENOENT, message: "Not here.")
            }
        )
        var generator = Seeded(4)
        let calls: [Value] = [
            ["procedure": "exec", "arguments": ["argv": ["transmission-remote", "-l"]]],
            ["procedure": "exec", "arguments": ["argv": ["/bin/sh", "-c", "id"]]],
            ["procedure": "exec", "arguments": ["argv": ["/bin/echo", "allowed"]]],
            ["procedure": "session.free_space", "arguments": ["path": "/"]],
        ]
        for _ in 0..<10_000 {
            let call = mutate(frame(2, 1, calls.randomElement(using: &generator)!), &generator)
            try await send(call, to: agent.core)
        }
        #expect(Set(started.withLock(\.keys)).isSubset(of: ["/bin/true", "/bin/echo"]))
        // The way is open to what is whole.
        started.withLock { $0.removeAll() }
        for call in calls { try await send(frame(2, 1, call), to: agent.core) }
        #expect(started.withLock(\.self) == ["/bin/true": 1, "/bin/echo": 1])
    }

    /// Sends a greeting and one frame on a connection of its own, and waits until it was dealt with.
    private func send(_ bytes: [UInt8], to core: AgentCore) async throws {
        let (outside, inside) = PipeByteStream.pair()
        async let served: Void = core.serve(inside, as: .control)
        let ping = [0, 0, 0, 13, 0x0A, 0, 0, 0, 0] + [UInt8](repeating: 1, count: 8)
        let hello = frame(1, 0, ["versions": [1, 1]])
        try? await outside.write(ByteBuffer(bytes: Array("FARSEED\n".utf8) + hello + bytes + ping))
        var answer = ByteBuffer()
        // What is not as long as it says waits for the rest; everything else is answered, or passed over for the ping.
        let length = bytes.prefix(4).reduce(0) { $0 << 8 | Int($1) }
        if length + 4 <= bytes.count {
            while !isAnswered(answer, isCall: bytes[4] == 2), var part = try? await outside.read() {
                answer.writeBuffer(&part)
            }
        }
        await outside.closeWriting()
        await served
        await outside.close()
    }

    /// Whether a call's reply or failure has come, a goodbye, or where there was no call the pong.
    private func isAnswered(_ bytes: ByteBuffer, isCall: Bool) -> Bool {
        var bytes = bytes
        bytes.moveReaderIndex(forwardBy: min(8, bytes.readableBytes))
        while let length = bytes.readInteger(as: UInt32.self), let frame = bytes.readSlice(length: Int(length)) {
            switch frame.getInteger(at: frame.readerIndex, as: UInt8.self) {
            case 0x03, 0x04, 0x0C: return true
            case 0x0B where !isCall: return true
            default: continue
            }
        }
        return false
    }

    private func frame(_ type: UInt8, _ call: UInt32, _ value: Value) -> [UInt8] {
        let payload = CBOR.encode(value)
        var buffer = ByteBuffer()
        buffer.writeInteger(UInt32(payload.count + 5))
        buffer.writeInteger(type)
        buffer.writeInteger(call)
        buffer.writeBytes(payload)
        return Array(buffer.readableBytesView)
    }
}
