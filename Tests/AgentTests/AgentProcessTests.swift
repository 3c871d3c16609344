import Calls
import Foundation
import NIOCore
import NIOPosix
import Notation
import Seedbox
import Testing
import Wire

@testable import Agent

/// The built program itself, as sshd starts it.
@Suite(.serialized, .timeLimit(.minutes(2))) struct AgentProcessTests {
    /// Beside the test's own program, where the build puts it.
    private static var program: String {
        URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
            .appending(path: "farseed-agent").path
    }

    private struct Ended {
        var status: Int32
        var output: String
        var errors: String
    }

    private func run(_ arguments: [String], original: String? = nil, input: String = "") throws -> Ended {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: Self.program)
        process.arguments = arguments
        var environment = ["PATH": "/usr/bin:/bin"]
        environment["SSH_ORIGINAL_COMMAND"] = original
        process.environment = environment
        let (stdin, stdout, stderr) = (Pipe(), Pipe(), Pipe())
        (process.standardInput, process.standardOutput, process.standardError) = (stdin, stdout, stderr)
        try process.run()
        try stdin.fileHandleForWriting.write(contentsOf: Data(input.utf8))
        try stdin.fileHandleForWriting.close()
        let output = try stdout.fileHandleForReading.readToEnd() ?? Data()
        let errors = try stderr.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return Ended(
            status: process.terminationStatus,
            output: String(decoding: output, as: UTF8.self),
            errors: String(decoding: errors, as: UTF8.self)
        )
    }

    @Test(arguments: [nil, "", "sh -c id", "farseed-agent serve; id", "farseed-agent resident", "scp -f x"])
    func `the gate refuses with 126, one sentence and nothing on standard output`(_ original: String?) throws {
        let ended = try run(["gate", "--role", "control"], original: original)
        #expect(ended.status == 126)
        #expect(ended.output == "")
        #expect(ended.errors.split(separator: "\n").count == 1)
    }

    @Test func `the gate tells the version`() throws {
        let ended = try run(["gate", "--role", "read"], original: "farseed-agent version")
        #expect(ended.status == 0)
        #expect(ended.output == "farseed-agent \(Software.version)\n")
    }

    @Test func `wrong use is 64, a wrong configuration 21 with every line`() throws {
        #expect(try run([]).status == 64)
        let temporary = try TemporaryDirectory()
        let file = try temporary.write("agent.conf", "nonsense\nrpc-url x\n")
        let ended = try run(["serve", "--config", file])
        #expect(ended.status == 21)
        #expect(ended.output == "")
        #expect(ended.errors.contains("line 1") && ended.errors.contains("line 2"))
    }

    @Test func `a password file that others can read is refused`() throws {
        let temporary = try TemporaryDirectory()
        let secret = try temporary.write("rpc", "me:pw\n", mode: 0o644)
        let file = try temporary.write("agent.conf", "rpc-auth-file \(secret)\n")
        let ended = try run(["serve", "--config", file])
        #expect(ended.status == 21)
        #expect(ended.errors.contains("chmod 600"))
    }

    @Test func `authorize prints a line that names this program`() throws {
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJk1mNzC2yNLAWcMqpwH1LlAcIjbZz3p6V5vXgaKFQJr me@home"
        let ended = try run(["authorize", "--role", "control"], input: key + "\n")
        #expect(ended.status == 0)
        #expect(ended.output.hasPrefix("restrict,command=\"\(Self.program) gate --role control\" ssh-ed25519 AAAA"))
        #expect(try run(["authorize", "--role", "control"], input: "rubbish").status == 1)
    }

    @Test func `it ends when its input does`() throws {
        let temporary = try TemporaryDirectory()
        let file = try temporary.write(
            "agent.conf",
            "resident no\nstate-directory \(temporary.path)\nlog-level error\n"
        )
        let ended = try run(["gate", "--role", "control", "--config", file], original: "farseed-agent serve")
        #expect(ended.status == 0)
        #expect(!ended.errors.contains("error"))
    }

    @Test func `no descriptor of its own is handed on to a program`() async throws {
        let temporary = try TemporaryDirectory()
        let file = try temporary.write(
            "agent.conf",
            "resident no\nstate-directory \(temporary.path)\nallow-exec /bin/sh\n"
        )
        // One that the agent was started with, besides.
        let script = "exec 9</dev/null \(Self.program) serve --config \(file)"
        try await withAgent(["-c", script]) { connection in
            let list = "for f in /proc/self/fd/*; do echo ${f##*/}; done"
            let result = try await Execution(connection, ["/bin/sh", "-c", list])
            // The shell opens the directory itself.
            #expect(Set(result.output.split(separator: "\n")).subtracting(["0", "1", "2"]).count <= 1)
        }
    }

    @Test func `a shell's rubbish is not answered`() throws {
        let temporary = try TemporaryDirectory()
        let file = try temporary.write("agent.conf", "resident no\nstate-directory \(temporary.path)\n")
        let ended = try run(["serve", "--config", file], input: "GET / HTTP/1.1\r\n\r\n")
        #expect(ended.status == 0)
        #expect(ended.errors.contains("connection ended"))
    }

    /// Speaks to the program over its standard streams.
    private func withAgent<Success: Sendable>(
        _ command: [String],
        _ body: @escaping @Sendable (CallConnection) async throws -> Success
    ) async throws -> Success {
        let child = try ChildProcess.start("/bin/sh", ["sh"] + command, ["PATH=/usr/bin:/bin"])
        close(child.pipes.errors)
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let stream = try await NIOPipeBootstrap(group: loop)
            .takingOwnershipOfDescriptors(input: child.pipes.output, output: child.pipes.input) { channel in
                ChannelByteStream.install(on: channel)
            }
        let connection = CallConnection(stream: stream, hello: Hello(software: "test"), side: .caller)
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try? await connection.run() }
            let result: Result<Success, any Error>
            do { result = .success(try await body(connection)) } catch { result = .failure(error) }
            await connection.close()
            await child.exited()
            _ = child.collect()
            return try result.get()
        }
    }

    @Test func `exhausted descriptors are a problem of one call, not the end`() async throws {
        let temporary = try TemporaryDirectory()
        let file = try temporary.write(
            "agent.conf",
            "resident no\nstate-directory \(temporary.path)\nallow-exec /bin/sleep\nallow-exec /bin/echo\n"
        )
        let script = "ulimit -n 40; exec \(Self.program) serve --config \(file)"
        try await withAgent(["-c", script]) { connection in
            _ = try await connection.peerHello()
            var sleepers: [OutgoingCall] = []
            for _ in 0..<16 { sleepers.append(try await connection.open("exec", ["argv": ["/bin/sleep", "60"]])) }
            var problems = 0
            for _ in 0..<4 {
                do { _ = try await connection.call("exec", ["argv": ["/bin/echo"]]) } catch is Problem { problems += 1 }
            }
            #expect(problems > 0)
            for sleeper in sleepers { sleeper.cancel() }
            for sleeper in sleepers { _ = try? await sleeper.result() }
            let deadline = ContinuousClock.now + .seconds(20)
            var works = false
            while !works, ContinuousClock.now < deadline {
                works = (try? await connection.call("exec", ["argv": ["/bin/echo"]])) == ["status": 0]
            }
            #expect(works)
        }
    }

    @Test func `a resident keeps the history between connections, and gives way to another configuration`() async throws
    {
        let temporary = try TemporaryDirectory()
        let file = try temporary.write(
            "agent.conf",
            "rpc-url http://127.0.0.1:1\nstate-directory \(temporary.path)/s\n"
        )
        func epochOfResident() async throws -> pid_t {
            try await withAgent(["-c", "exec \(Self.program) serve --config \(file)"]) { connection in
                _ = try await connection.call("status")
                return Self.holder(of: temporary.path + "/s/agent.lock")
            }
        }
        let first = try await epochOfResident()
        #expect(first > 0)
        #expect(try await epochOfResident() == first)
        _ = try temporary.write(
            "agent.conf",
            "rpc-url http://127.0.0.1:1\nstate-directory \(temporary.path)/s\nlog-level debug\n"
        )
        let second = try await epochOfResident()
        #expect(second > 0 && second != first)
        kill(second, SIGTERM)
        let deadline = ContinuousClock.now + .seconds(10)
        while kill(first, 0) == 0, ContinuousClock.now < deadline { await Task.yield() }
        #expect(Self.holder(of: temporary.path + "/s/agent.lock") != first)
    }

    /// The process that holds a lock, by /proc/locks.
    private static func holder(of path: String) -> pid_t {
        var status = stat()
        guard stat(path, &status) == 0 else { return 0 }
        let lines = (SmallFile.text("/proc/locks", limit: 1 << 20) ?? "").split(separator: "\n")
        for line in lines where line.contains(":\(status.st_ino) ") {
            let words = line.split(separator: " ")
            if words.count > 4, let pid = pid_t(words[4]) { return pid }
        }
        return 0
    }
}
