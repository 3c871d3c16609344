/// The installation of the agent: what is decided at home, and the real scripts in a shell of this machine.
import Foundation
import NIOCore
import Notation
import Seedbox
import Testing

@testable import Controller
@testable import Tunnel

private let key = "AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g"
private let other = "AAAAC3NzaC1lZDI1NTE5AAAAIJk1mNzC2yNLAWcMqpwH1LlAcIjbZz3p6V5vXgaKFQJr"
private let digest = String(repeating: "0123456789abcdef", count: 4)

@Suite struct AuthorizedKeysTests {
    @Test(arguments: [
        ("", "NEW\n"), ("a b", "a b\nNEW\n"), ("# ssh-ed25519 \(key)\r\n\n", "# ssh-ed25519 \(key)\r\n\nNEW\n"),
        ("ssh-ed25519 \(other) x\n", "ssh-ed25519 \(other) x\nNEW\n"),
        ("one\n ssh-ed25519 \(key)\nthree", "one\nNEW\nthree"),
        ("restrict,command=\"a \\\" b\" ssh-ed25519 \(key) c\ntwo\nssh-ed25519 \(key)\n", "NEW\ntwo\n"),
        (
            "command=\"echo ssh-ed25519 \(key)\" ssh-ed25519 \(other)\n",
            "command=\"echo ssh-ed25519 \(key)\" ssh-ed25519 \(other)\nNEW\n"
        ),
        ("ssh-rsa AAAA \(key)\n\u{FFFD}\n", "ssh-rsa AAAA \(key)\n\u{FFFD}\nNEW\n"),
    ])
    func `the key has one line, and others stay as they are`(before: String, after: String) {
        let keys = AuthorizedKeys(Array(before.utf8)).setting("NEW", of: key)
        #expect(String(decoding: keys.bytes, as: UTF8.self) == after)
    }

    @Test func `bytes that are no text stay`() {
        let before: [UInt8] = [0xFF, 0x00, 0x0A, 0x80]
        #expect(AuthorizedKeys(before).setting("x", of: key).bytes == before + [0x0A, 0x78, 0x0A])
    }

    @Test func `a second time changes nothing`() {
        let line = "restrict,command=\"/a gate --role control\" ssh-ed25519 \(key) me"
        let once = AuthorizedKeys(Array("x\n".utf8)).setting(line, of: key)
        #expect(once.setting(line, of: key) == once)
        #expect(once.line(of: key) == line + "\n")
    }

    @Test func `only a sound line is taken, and a configuration that a shell may be given`() {
        let line = "restrict,command=\"/h/farseed-agent gate --role control --config /etc/a.conf\" ssh-ed25519 \(key)"
        #expect(GateLine.configuration(in: line) == "/etc/a.conf")
        #expect(GateLine.configuration(in: line.replacing("/etc/a.conf", with: "/etc/$(x)")) == nil)
        #expect(GateLine.configuration(in: "command=\"other --config /a\" ssh-ed25519 \(key)") == nil)
        #expect(GateLine.isSound(line, key: key, program: "/h/farseed-agent"))
        for bad in [line + "\nssh-rsa A", line + "\"", "x" + line, line.replacing("control", with: "read")] {
            #expect(!GateLine.isSound(bad, key: key, program: "/h/farseed-agent"))
        }
        #expect(!GateLine.isSound(line, key: other, program: "/h/farseed-agent"))
    }
}

@Suite struct FarCommandTests {
    private static func all() throws -> [FarCommand] {
        let label = DeployLabel(version: "0.1.0", digest: digest)
        return [
            try .survey(label), try .survey(nil), try .copy(label, digest: digest, size: 9, version: "0.1.0"),
            try .switchTo(label, previous: nil), try .writeKeys(over: nil, digest: digest, size: 9),
            try .line(label, key: key, comment: "farseed-vps", configuration: "/a.conf"), try .dropKeys(digest),
            try .prune(label, label),
        ]
    }

    @Test func `any login shell hands a script on as it is`() throws {
        for command in try Self.all() {
            let parts = command.text(as: .own).split(separator: "'", omittingEmptySubsequences: false)
            try #require(parts.count == 3)
            #expect(parts[0] == "exec sh -c ")
            #expect(!parts[1].contains { "\\!\n\r".contains($0) })
            #expect(
                parts[2].dropFirst().split(separator: " ").allSatisfy { $0 == "-" || FarCommand.isPlain(String($0)) }
            )
        }
    }

    @Test func `another account is taken by root's or sudo's means`() throws {
        let command = try FarCommand.dropKeys(digest)
        #expect(command.text(as: try .init("seedbox", login: "root")).hasPrefix("exec su -s /bin/sh seedbox -c '"))
        #expect(command.text(as: try .init("seedbox", login: "ann")).hasPrefix("exec sudo -n -H -u seedbox -- sh -c '"))
        #expect(try FarCommand.Account("seedbox", login: "seedbox") == .own)
        #expect(throws: Problem.self) { try FarCommand.Account("a;b", login: "root") }
    }

    @Test(arguments: ["", "-x", "a b", "a'b", "$(x)", "a;b", "a\nb", "~", "é", "*"])
    func `what a shell could take for more is refused`(text: String) {
        #expect(!FarCommand.isPlain(text))
        let label = DeployLabel(version: "0.1.0", digest: digest)
        #expect(throws: Problem.self) { try FarCommand.line(label, key: key, comment: text, configuration: nil) }
    }

    @Test(arguments: [
        "", "x", "0.1.0", "0.1.0-0123456789AB", "../x-0123456789ab", ".-0123456789ab", "1-2-0123456789ab",
    ])
    func `a link that farseed has not made is no version`(text: String) {
        #expect(DeployLabel(text) == nil)
    }

    @Test func `a survey is read behind what start files print, and cut anywhere it is none`() throws {
        let label = DeployLabel(version: "0.1.0", digest: digest)
        let text = "Welcome\nfarseed-deploy\nhome /h\nmachine x86_64\ncurrent \(label)\nsum \(digest)\nkeys file\nk\nl"
        let survey = try FarSurvey(Array(text.utf8))
        #expect(survey.current == label && survey.previous == nil && survey.digest == digest)
        #expect(survey.keys == .file(Array("k\nl".utf8)))
        let whole = text.utf8.count - "k\nl".utf8.count
        for end in 0..<whole { #expect(throws: Problem.self) { try FarSurvey(Array(text.utf8.prefix(end))) } }
        #expect(throws: Problem.self) { try FarSurvey(Array(text.replacing("\(label)", with: "/etc").utf8)) }
    }

    @Test func `the head of a file says what it is for`() {
        var bytes: [UInt8] = [0x7F, 0x45, 0x4C, 0x46, 2, 1] + [UInt8](repeating: 0, count: 122)
        bytes[18] = 62
        bytes[32] = 64
        bytes[54] = 56
        bytes[56] = 1
        #expect(ELFHead(bytes).machine == "x86_64")
        #expect(!ELFHead(bytes).needsLoader)
        bytes[64] = 3
        #expect(ELFHead(bytes).needsLoader)
        for end in 0..<bytes.count { _ = ELFHead(Array(bytes.prefix(end))) }
        #expect(ELFHead(Array("#!/bin/sh\n".utf8)) == ELFHead([]))
    }
}

@Suite struct DeploymentTests {
    /// A home of its own on this machine, whose shell answers as the seedbox's.
    private struct Far: FarShell {
        let home: URL
        /// Bytes of the input after which the connection is gone.
        var cut: Int?

        func run(
            _ command: String,
            input: ByteBuffer,
            mostOutput: Int,
            sent: @escaping @Sendable (Int) -> Void
        ) async throws -> AdminSession.Outcome {
            let process = Process()
            process.executableURL = URL(filePath: "/bin/sh")
            process.arguments = ["-c", command]
            process.environment = ["HOME": home.path, "PATH": "/usr/bin:/bin"]
            let files = ["input", "output", "errors"].map { home.appending(path: "../\(UUID())-\($0)") }
            defer { for file in files { try? FileManager.default.removeItem(at: file) } }
            try Data(input.readableBytesView.prefix(cut ?? .max)).write(to: files[0])
            for file in files.dropFirst() { try Data().write(to: file) }
            process.standardInput = try FileHandle(forReadingFrom: files[0])
            process.standardOutput = try FileHandle(forWritingTo: files[1])
            process.standardError = try FileHandle(forWritingTo: files[2])
            try process.run()
            process.waitUntilExit()
            return .init(
                status: process.terminationStatus,
                output: Array(try Data(contentsOf: files[1])),
                errors: Array(try Data(contentsOf: files[2]))
            )
        }

        func text(_ path: String) -> String? { try? String(contentsOf: home.appending(path: path), encoding: .utf8) }
        func link(_ name: String) -> String? {
            try? FileManager.default.destinationOfSymbolicLink(atPath: "\(home.path)/\(FarCommand.place)/\(name)")
        }
        var versions: [String] {
            let all = try? FileManager.default.subpathsOfDirectory(atPath: "\(home.path)/\(FarCommand.place)")
            return (all ?? []).filter { $0.hasSuffix("farseed-agent") && !$0.hasPrefix("current") }.sorted()
        }
    }

    /// A script that answers as the agent; `mark` makes its bytes others.
    private static func agent(_ mark: String, version: String = Farseed.version) -> AgentFile {
        let text = """
            #!/bin/sh
            # \(mark)
            case "$1" in
            version) echo farseed-agent \(version) ;;
            authorize) read -r line; echo "restrict,command=\\"$5 gate --role $3${7:+ --config $7}\\" $line" ;;
            esac

            """
        return AgentFile(path: "/a", bytes: Array(text.utf8))
    }

    private static func deploy(
        _ far: Far,
        _ file: AgentFile?,
        isDry: Bool = false,
        check: @escaping @Sendable (inout DoctorReport) async throws -> Void = { $0.passed(.agent, "") }
    ) async throws -> DeployReport {
        var report = DeployReport(box: "vps")
        let deployment = Deployment(
            shell: far,
            account: .own,
            file: file,
            key: key,
            comment: "farseed-vps",
            check: check
        )
        try await deployment.run(isDry: isDry, into: &report)
        return report
    }

    private func withHome(_ body: (Far) async throws -> Void) async throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "farseed-\(UUID().uuidString.prefix(8))")
        let home = directory.appending(path: "home")
        try FileManager.default.createDirectory(at: home, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        try await body(Far(home: home))
    }

    @Test func `install, again, upgrade, back and forth`() async throws {
        try await withHome { far in
            let (one, two, three) = (Self.agent("1"), Self.agent("2"), Self.agent("3"))
            let dry = try await Self.deploy(far, one, isDry: true)
            #expect(dry.value["planned"] == ["copy", "switch", "authorize"] && far.versions.isEmpty)

            var report = try await Self.deploy(far, one)
            #expect(report.problem == nil && report.done == [.copy, .switch, .authorize])
            let line =
                "restrict,command=\"\(far.home.path)/\(FarCommand.place)/current/farseed-agent gate --role control\" "
                + "ssh-ed25519 \(key) farseed-vps\n"
            #expect(far.text(".ssh/authorized_keys") == line)
            let mode = try FileManager.default.attributesOfItem(atPath: far.home.path + "/.ssh/authorized_keys")
            #expect(mode[.posixPermissions] as? Int == 0o600)

            report = try await Self.deploy(far, one)
            #expect(report.problem == nil && report.done.isEmpty)
            #expect(report.lines(on: .none).last?.contains("nothing was changed") == true)

            #expect(try await Self.deploy(far, two).done == [.copy, .switch])
            #expect(far.link("current") == two.label.description && far.link("previous") == one.label.description)
            #expect(try await Self.deploy(far, nil).done == [.switch])
            #expect(far.link("current") == one.label.description && far.link("previous") == two.label.description)

            // Of three versions the oldest goes; the file of a version that is there is not copied again.
            #expect(try await Self.deploy(far, three).done == [.copy, .switch])
            #expect(far.versions == [one, three].map { "\($0.label)/farseed-agent" }.sorted())
            #expect(try await Self.deploy(far, one).done == [.switch])
            #expect(far.text(".ssh/authorized_keys") == line)
        }
    }

    @Test func `an installation that fails its check is taken back`() async throws {
        try await withHome { far in
            let failing: @Sendable (inout DoctorReport) async throws -> Void = { _ in
                throw Problem(.agentMissing, "It does not greet.")
            }
            let report = try await Self.deploy(far, Self.agent("1"), check: failing)
            #expect(report.problem?.code == .agentMissing && report.isRolledBack)
            #expect(far.link("current") == nil && far.text(".ssh/authorized_keys") == nil)

            _ = try await Self.deploy(far, Self.agent("1"))
            let keys = far.home.appending(path: ".ssh/authorized_keys")
            // A line of the owner's own, a by-hand line of the key, an unusual mode.
            let before =
                "ssh-rsa AAAA me\r\nrestrict,command=\"/b/farseed-agent gate --role control --config /c\" "
                + "ssh-ed25519 \(key)\nlast"
            try Data(before.utf8).write(to: keys)
            try FileManager.default.setAttributes([.posixPermissions: 0o640], ofItemAtPath: keys.path)
            let back = try await Self.deploy(far, Self.agent("2"), check: failing)
            #expect(back.isRolledBack && back.done == [.copy, .switch, .authorize])
            #expect(far.text(".ssh/authorized_keys") == before)
            #expect(far.link("current") == Self.agent("1").label.description && far.link("previous") == nil)

            let forth = try await Self.deploy(far, Self.agent("2"))
            #expect(forth.problem == nil)
            #expect(far.text(".ssh/authorized_keys")?.contains("control --config /c\" ssh-ed25519 \(key)") == true)
            #expect(far.text(".ssh/authorized_keys")?.hasPrefix("ssh-rsa AAAA me\r\n") == true)
            #expect(far.text(".ssh/authorized_keys")?.hasSuffix("\nlast") == true)
            let mode = try FileManager.default.attributesOfItem(atPath: keys.path)[.posixPermissions] as? Int
            #expect(mode == 0o640)
        }
    }

    @Test func `what the agent says of Transmission takes nothing back`() async throws {
        try await withHome { far in
            let report = try await Self.deploy(far, Self.agent("1")) { _ in
                throw Problem(.transmissionUnauthorized, "It demands a password.")
            }
            #expect(report.problem?.code == .transmissionUnauthorized && !report.isRolledBack)
            #expect(far.link("current") == Self.agent("1").label.description)
        }
    }

    @Test func `a file that is cut, of another version or does not run leaves the old one`() async throws {
        try await withHome { far in
            let one = Self.agent("1")
            _ = try await Self.deploy(far, one)
            var cut = far
            cut.cut = 40
            #expect(try await Self.deploy(cut, Self.agent("2")).problem?.code == .connectionLost)
            let old = Self.agent("3", version: "0.0.1")
            #expect(try await Self.deploy(far, old).problem?.code == .agentIncompatible)
            let rubbish = AgentFile(path: "/a", bytes: Array(repeating: 7, count: 5_000))
            #expect(try await Self.deploy(far, rubbish).problem?.code == .agentIncompatible)
            #expect(far.versions == ["\(one.label)/farseed-agent"])
            #expect(far.link("current") == one.label.description && far.link("previous") == nil)
        }
    }

    @Test func `what cannot work is refused before anything is copied`() async throws {
        try await withHome { far in
            await #expect(throws: Problem.self) { try await Self.deploy(far, nil) }
            let place = far.home.appending(path: ".ssh")
            try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
            try FileManager.default.createSymbolicLink(
                atPath: place.path + "/authorized_keys",
                withDestinationPath: "/dev/null"
            )
            await #expect(throws: Problem.self) { try await Self.deploy(far, Self.agent("1")) }
            #expect(far.versions.isEmpty)
        }
    }
}
