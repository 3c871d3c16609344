/// The server's own TLS, with certificates made by openssl and asked by curl.
import Foundation
import Testing

@testable import Web

/// A directory that goes with its owner.
private final class Scratch: Sendable {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "farseed-tls-" + MemoryLogins.secret()
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// A new certificate and key for a name.
    func certificate(_ name: String) async throws -> WebConfiguration.TLS {
        let files = WebConfiguration.TLS(certificateFile: "\(path)/cert.pem", keyFile: "\(path)/key.pem")
        _ = try await output(
            "openssl",
            [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                "-subj", "/CN=\(name)", "-keyout", files.keyFile, "-out", files.certificateFile,
            ]
        )
        return files
    }
}

/// Runs a program that Debian has; what it prints. Waits on a thread of its own: the tasks' threads are few, and the
/// server needs them.
private func output(_ program: String, _ arguments: [String]) async throws -> String {
    try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread { continuation.resume(with: Result { try run(program, arguments) }) }
    }
}

private func run(_ program: String, _ arguments: [String]) throws -> String {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/\(program)")
    process.arguments = arguments
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    do { try process.run() } catch {
        Issue.record("\(program) is missing. Install it: apt install \(program)")
        throw error
    }
    let data = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return String(decoding: data, as: UTF8.self)
}

@Suite struct TLSTests {
    @Test("under TLS the page comes with the field that keeps it so, and a reloaded certificate is used at once")
    func tls() async throws {
        let scratch = try Scratch()
        let files = try await scratch.certificate("first.test")
        try await LiveServer.with {
            $0.tls = files
        } _: { live in
            let url = "https://127.0.0.1:\(live.port)/"
            let arguments = ["--silent", "--insecure", "--verbose", "--max-time", "15", "--noproxy", "*"]
            let first = try await output("curl", arguments + [url])
            #expect(first.contains("first.test") && first.contains("<title>Farseed</title>"))
            #expect(first.lowercased().contains("strict-transport-security: max-age=31536000"))
            _ = try await scratch.certificate("second.test")
            #expect(try live.server.reloadCertificate())
            #expect(try await output("curl", arguments + [url]).contains("second.test"))

            let link = try await live.server.ownerLink(for: Account(name: "owner", role: .owner))
            #expect(link.hasPrefix(url + "#login="))
            let token = link.split(separator: "=").last ?? ""
            let login = try await output(
                "curl",
                arguments + ["-H", "X-Farseed: 1", "-H", "Origin: https://127.0.0.1:\(live.port)"]
                    + ["-d", #"{"token":"\#(token)"}"#, url + "api/login"]
            )
            #expect(login.lowercased().contains("set-cookie: __host-farseed=") && login.contains("; Secure"))
            let plain = try await output(
                "curl",
                arguments + ["-H", "Origin: http://127.0.0.1:\(live.port)", url + "healthz"]
            )
            #expect(plain.contains("403"))
        }
    }

    @Test("a bad certificate ends in one sentence before anything listens, and a bad reload keeps the old one")
    func badCertificate() async throws {
        let scratch = try Scratch()
        let missing = WebConfiguration.TLS(certificateFile: "\(scratch.path)/none", keyFile: "\(scratch.path)/none")
        let error = await #expect(throws: WebError.self) {
            try await LiveServer.with {
                $0.tls = missing
            } _: { _ in
            }
        }
        #expect(error?.code == .certificateInvalid)
        let files = try await scratch.certificate("good.test")
        try await LiveServer.with {
            $0.tls = files
        } _: { live in
            try Data("no certificate".utf8).write(to: URL(fileURLWithPath: files.certificateFile))
            #expect(throws: WebError.self) { try live.server.reloadCertificate() }
            let answer = try await output(
                "curl",
                [
                    "--silent", "--insecure", "--max-time", "15", "--noproxy", "*",
                    "https://127.0.0.1:\(live.port)/healthz",
                ]
            )
            #expect(answer == "ok\n")
        }
    }

    @Test("a port in use ends in one sentence")
    func portInUse() async throws {
        try await LiveServer.with { live in
            let error = await #expect(throws: WebError.self) {
                try await LiveServer.with {
                    $0.port = live.port
                } _: { _ in
                }
            }
            #expect(error?.code == .listenFailed)
            #expect(error?.message.contains("port \(live.port)") == true)
        }
    }
}
