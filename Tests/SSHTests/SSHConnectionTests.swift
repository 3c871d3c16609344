import Foundation
import NIOCore
import NIOPosix
import TestSupport
import Testing

@testable import SSH

/// Against a real sshd.
@Suite(.serialized) struct SSHConnectionTests {
    @Test func `A command's output and status come back`() async throws {
        let server = try SSHServer()
        let output = try await within(30) {
            let connection = try await Client.connect(server)
            let output = try await connection.output("echo out; echo err >&2; cat; exit 3", input: "in\n")
            await connection.close()
            return output
        }
        #expect(output == Output(stdout: "out\nin\n", stderr: "err\n", exit: .status(3)))
    }

    @Test func `An identification that went ahead is not sent twice`() async throws {
        let server = try SSHServer()
        var configuration = try Client.configuration(server)
        configuration.isIdentified = true
        let channel = try await Client.channel(port: server.port)
        try await channel.writeAndFlush(ByteBuffer(bytes: SSHConfiguration.identification)).get()
        let connection = try await SSHConnection.open(on: channel, configuration)
        #expect(try await connection.output("printf out").stdout == "out")
        await connection.close()
    }

    @Test func `A signal that ends the command is told`() async throws {
        let server = try SSHServer()
        let output = try await within(30) { try await Client.connect(server).output("kill -TERM $$; sleep 5") }
        #expect(output.exit == .signal("TERM"))
    }

    @Test func `Fifty commands at once share one connection`() async throws {
        let server = try SSHServer()
        let outputs = try await within(60) {
            let connection = try await Client.connect(server)
            return try await withThrowingTaskGroup(of: (Int, Output).self) { group in
                for number in 0..<50 {
                    group.addTask { (number, try await connection.output("cat; echo \(number)", input: "x")) }
                }
                return try await group.reduce(into: [Int: Output]()) { $0[$1.0] = $1.1 }
            }
        }
        #expect(outputs.count == 50)
        for (number, output) in outputs { #expect(output == Output(stdout: "x\(number)\n", exit: .status(0))) }
    }

    @Test func `A compressed connection works alike`() async throws {
        let server = try SSHServer()
        let text = String(repeating: "the same again ", count: 100_000)
        let output = try await within(30) {
            let connection = try await Client.connect(server) { $0.compression = true }
            let channel = try await connection.exec("cat")
            async let written: Void = {
                try await channel.write(ByteBuffer(string: text))
                try await channel.sendEOF()
            }()
            var received = ""
            while case .stdout(let bytes) = try await channel.read() { received += String(buffer: bytes) }
            try await written
            return received
        }
        #expect(output == text)
    }

    @Test func `An eager command takes its input before it is accepted`() async throws {
        let server = try SSHServer()
        let received = try await within(30) {
            let channel = try await Client.connect(server).exec("cat", eager: true)
            try await channel.write(ByteBuffer(string: "early"))
            let first = try await channel.read()
            await channel.close()
            return first
        }
        #expect(received == .stdout(ByteBuffer(string: "early")))
    }

    @Test func `Beyond MaxSessions a channel is refused and the others stay`() async throws {
        let server = try SSHServer(["MaxSessions 1"])
        try await within(30) {
            let connection = try await Client.connect(server)
            let first = try await connection.exec("cat")
            await #expect(throws: SSHError.self) { try await connection.exec("true") }
            try await first.write(ByteBuffer(string: "still here"))
            #expect(try await first.read() == .stdout(ByteBuffer(string: "still here")))
        }
    }

    @Test func `A host key that is not pinned ends it before the login`() async throws {
        let server = try SSHServer()
        let error = await #expect(throws: SSHError.self) {
            try await within(30) {
                try await Client.connect(server) { $0.hostKey = .pinned([HostKey(server.otherKeyLine)!]) }
            }
        }
        #expect(error?.code == .hostKeyMismatch)
        #expect(error?.message.contains(HostKey(server.hostKeyLine)!.fingerprint) == true)
    }

    @Test func `A new host key is reported where that was asked for`() async throws {
        let server = try SSHServer()
        let (reported, report) = AsyncStream.makeStream(of: HostKey.self)
        try await within(30) {
            await (try Client.connect(server) { $0.hostKey = .acceptNew { report.yield($0) } }).close()
            report.finish()
        }
        for await key in reported { #expect(key == HostKey(server.hostKeyLine)) }
    }

    @Test func `A key that the server does not know is refused`() async throws {
        let server = try SSHServer()
        let error = await #expect(throws: SSHError.self) {
            try await within(30) {
                try await Client.connect(server) { $0.key = try PrivateKey(path: server.otherKeyPath) }
            }
        }
        #expect(error?.code == .loginRefused)
    }

    @Test(arguments: ["right", "wrong"])
    func `A key with a passphrase opens with the right one only`(passphrase: String) async throws {
        let server = try SSHServer()
        let path = server.directory + "/locked"
        try SSHServer.run(["cp", "-p", server.userKeyPath, path])
        try SSHServer.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "right", "-f", path])
        let refusal = try await within(30) {
            do {
                let connection = try await Client.connect(server) {
                    $0.key = try PrivateKey(path: path, passphrase: passphrase)
                }
                await connection.close()
                return nil as SSHError.Code?
            } catch let error as SSHError {
                return error.code
            }
        }
        #expect(refusal == (passphrase == "right" ? nil : .keyInvalid))
    }

    @Test(arguments: [nil, "right"])
    func `A key that is in memory only logs in, locked or not`(passphrase: String?) async throws {
        let server = try SSHServer()
        var configuration = try Client.configuration(server)
        let path = server.userKeyPath
        if let passphrase { try SSHServer.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", passphrase, "-f", path]) }
        let text = try #require(FileManager.default.contents(atPath: path))
        try FileManager.default.removeItem(atPath: path)
        configuration.key = try PrivateKey(Array(text), passphrase: passphrase)
        let output = try await within(30) { [configuration] in
            let connection = try await SSHConnection.open(on: Client.channel(port: server.port), configuration)
            let output = try await connection.output("echo in")
            await connection.close()
            return output
        }
        #expect(output.stdout == "in\n")
    }

    @Test func `A channel closed early leaves the others alone`() async throws {
        let server = try SSHServer()
        try await within(30) {
            let connection = try await Client.connect(server)
            for _ in 0..<20 {
                let endless = try await connection.exec("yes")
                _ = try await endless.read()
                await endless.close()
                await #expect(throws: SSHError.self) { try await endless.write(ByteBuffer(string: "x")) }
            }
            #expect(try await connection.output("echo fine").stdout == "fine\n")
        }
    }

    @Test func `A reader that is cancelled loses no bytes`() async throws {
        let server = try SSHServer()
        try await within(30) {
            let channel = try await Client.connect(server).exec("read x; echo $x")
            let reader = Task { try await channel.read() }
            reader.cancel()
            await #expect(throws: CancellationError.self) { try await reader.value }
            try await channel.write(ByteBuffer(string: "kept\n"))
            #expect(try await channel.read() == .stdout(ByteBuffer(string: "kept\n")))
            #expect(try await channel.read() == nil)
            #expect(try await channel.exit() == .status(0))
        }
    }

    @Test func `A lost connection fails everything that waits`() async throws {
        let server = try SSHServer()
        try await within(30) {
            let connection = try await Client.connect(server)
            let channel = try await connection.exec("echo ready; sleep 100")
            #expect(try await channel.read() == .stdout(ByteBuffer(string: "ready\n")))
            let read = Task { try await channel.read() }
            let exit = Task { try await channel.exit() }
            server.dropSessions()
            await #expect(throws: SSHError.self) { try await read.value }
            await #expect(throws: SSHError.self) { try await exit.value }
            #expect(try await connection.closed.get().code == .connectionLost)
            await #expect(throws: SSHError.self) { try await connection.exec("true") }
        }
    }
}
