/// A tor process of our own: its torrc in a private directory, unix sockets only, ended with us.
import Calls
import Foundation
import Glibc
import Logging
import NIOCore
import Seedbox
import Synchronization

package struct TorChild: Sendable {
    /// A key of onion client authorization for one address.
    package struct ClientAuthorization: Sendable {
        /// 56 letters and digits, without `.onion`.
        package var address: String
        /// File with the x25519 secret in base32, alone or as tor's own `…:descriptor:x25519:…` line.
        package var secretFile: String

        package init(address: String, secretFile: String) {
            self.address = address
            self.secretFile = secretFile
        }
    }

    private let binary: String
    private let directory: String
    private let include: String?
    private let authorizations: [ClientAuthorization]

    /// From the start of the process to its open control socket.
    private static let opening = Duration.seconds(30)
    /// From the end of the process to that of what it has printed, in seconds.
    private static let lastWords = 0.3
    /// For `--version`, and the bytes of the answer that are read.
    private static let telling = Duration.seconds(10)
    private static let mostTold = 1_024
    /// From the request to end to the kill.
    private static let ending = Duration.seconds(5)
    /// Bytes of a secret file or an included file.
    private static let mostSecret = 4_096
    private static let mostInclude = 262_144
    /// `sun_path` of Linux holds 108 bytes with its end.
    private static let longestSocketPath = 107

    static let taken = Problem(
        .torNotReady,
        "Another farseed command runs a tor of its own in this state directory. This one waits for it; run `farseed serve` "
            + "to share one."
    )

    /// - Parameters:
    ///   - binary: a path, or a name looked up in `$PATH`.
    ///   - directory: made private; holds the torrc, the sockets and tor's data.
    ///   - include: a file whose lines are appended to the torrc.
    /// - Throws: `Problem` where the directory's path is too long for sockets.
    package init(
        binary: String = "tor",
        directory: String,
        include: String? = nil,
        authorizations: [ClientAuthorization] = []
    ) throws {
        self.binary = binary
        self.directory = directory
        self.include = include
        self.authorizations = authorizations
        guard (directory + "/control").utf8.count <= Self.longestSocketPath else {
            throw Problem(
                .configurationInvalid,
                "The state directory's path is too long for tor's unix sockets. Choose a shorter one by XDG_STATE_HOME."
            )
        }
    }

    package var socks: TorAddress { .unix(path: directory + "/socks") }
    package var control: TorAddress { .unix(path: directory + "/control") }

    /// Runs tor until it ends or the task is cancelled; throws a `Problem` that says why it ended.
    func run(group: any EventLoopGroup, logger: Logger, _ told: (TorNews) -> Void) async throws {
        let program = try locate()
        let lock = try lockDirectory()
        defer { close(lock) }
        try writeFiles()
        let log = TorLog()
        let process = try start(program, log)
        defer { end(process) }
        logger.info("Started an own tor", metadata: ["tor.pid": "\(process.processIdentifier)"])
        try await waitUntilOpen(process, log)
        // The control connection owns tor: where we vanish without a word, so does it.
        try await ControlPort(control, group: group).follow(owns: true, told)
        try Task.checkCancellation()
        throw ended(log)
    }

    /// What the program calls itself, such as `0.4.9.11`; nil where it says something else, or nothing in time.
    func version() async throws -> String? {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try locate())
        process.arguments = ["--version"]
        process.standardInput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        let output = Pipe()
        process.standardOutput = output
        let (ends, end) = AsyncStream<Void>.makeStream()
        process.terminationHandler = { _ in end.finish() }
        // What cannot be started is told of where it matters.
        guard (try? process.run()) != nil else { return nil }
        defer { self.end(process) }
        do {
            try await within(Self.telling, orThrow: Untold()) { for await _ in ends {} }
        } catch is Untold {
            return nil
        }
        try Task.checkCancellation()
        // It fits into the pipe, whose other end what the program has started may hold.
        let descriptor = output.fileHandleForReading.fileDescriptor
        _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
        var bytes = [UInt8](repeating: 0, count: Self.mostTold)
        let count = read(descriptor, &bytes, bytes.count)
        return TorVersion.printed(String(decoding: bytes.prefix(max(0, count)), as: UTF8.self))
    }

    private struct Untold: Error {}

    // MARK: Files

    /// One tor for a directory: a second one would take the first one's sockets and keys away. Free again when closed.
    private func lockDirectory() throws -> Int32 {
        // Where it cannot be made, the lock says so.
        try? FileManager.default.createDirectory(
            atPath: directory,
            withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o700]
        )
        let lock = open(directory + "/lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard lock >= 0 else {
            throw Problem(
                .torFailed,
                "Tor's files cannot be written to its directory in the state directory. Check space and permissions."
            )
        }
        guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
            close(lock)
            throw Self.taken
        }
        return lock
    }

    private func writeFiles() throws {
        let authDirectory = directory + "/onion-auth"
        do {
            let files = FileManager.default
            let isPrivate: [FileAttributeKey: Any] = [.posixPermissions: 0o700]
            for path in [directory, directory + "/data", authDirectory] {
                try files.createDirectory(atPath: path, withIntermediateDirectories: true, attributes: isPrivate)
                try files.setAttributes(isPrivate, ofItemAtPath: path)
            }
            // Keys of boxes that are configured no more must not stay.
            for name in try files.contentsOfDirectory(atPath: authDirectory) {
                try files.removeItem(atPath: authDirectory + "/" + name)
            }
            for path in ["/socks", "/control"] { try? files.removeItem(atPath: directory + path) }
            for (number, authorization) in authorizations.enumerated() {
                let line = "\(authorization.address):descriptor:x25519:\(try secret(authorization))\n"
                try writePrivate(line, to: "\(authDirectory)/\(number).auth_private")
            }
            try writePrivate(try torrc(), to: directory + "/torrc")
        } catch let problem as Problem {
            throw problem
        } catch {
            throw Problem(
                .torFailed,
                "Tor's files cannot be written to its directory in the state directory. Check space and permissions."
            )
        }
    }

    func torrc() throws -> String {
        var extra = ""
        if let include {
            extra = String(decoding: try SmallFile.read(include, atMost: Self.mostInclude), as: UTF8.self)
        }
        return """
            # Written by farseed at each start; lines of your own go into the file that `include` names.
            ClientOnly 1
            SafeSocks 1
            AvoidDiskWrites 1
            ConfluxEnabled 0
            DataDirectory \(Self.quoted(directory + "/data"))
            ClientOnionAuthDir \(Self.quoted(directory + "/onion-auth"))
            SocksPort unix:\(Self.quoted(directory + "/socks")) ExtendedErrors KeepAliveIsolateSOCKSAuth
            ControlPort unix:\(Self.quoted(directory + "/control"))
            CookieAuthentication 1
            CookieAuthFile \(Self.quoted(directory + "/cookie"))
            __OwningControllerProcess \(ProcessInfo.processInfo.processIdentifier)
            Log notice stdout

            """ + extra + "\n"
    }

    private static func quoted(_ path: String) -> String {
        "\"" + path.map { "\\\"".contains($0) ? "\\\($0)" : String($0) }.joined() + "\""
    }

    private func secret(_ authorization: ClientAuthorization) throws -> String {
        let bytes = try SmallFile.read(authorization.secretFile, atMost: Self.mostSecret)
        let text = String(decoding: bytes, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
        let secret = text.split(separator: ":").last.map(String.init) ?? ""
        guard secret.utf8.count == 52,
            secret.uppercased().utf8.allSatisfy({ (65...90).contains($0) || (50...55).contains($0) })
        else {
            throw Problem(
                .secretUnreadable,
                "The file of `client-auth` holds no x25519 key of 52 base32 characters. Make the pair again as "
                    + "torrc.example says, and put the secret half there."
            )
        }
        return secret.uppercased()
    }

    private func writePrivate(_ text: String, to path: String) throws {
        guard
            FileManager.default.createFile(
                atPath: path,
                contents: Data(text.utf8),
                attributes: [.posixPermissions: 0o600]
            )
        else { throw CocoaError(.fileWriteUnknown) }
    }

    // MARK: Process

    private func locate() throws -> String {
        let folders =
            binary.contains("/")
            ? [""]
            : (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin").split(separator: ":").map { $0 + "/" }
                + ["/usr/sbin/", "/usr/local/bin/"]
        for folder in folders where FileManager.default.isExecutableFile(atPath: folder + binary) {
            return folder + binary
        }
        throw Problem(
            .torMissing,
            "There is no tor on this machine and no `socks` in the configuration. Install it (apt-get install tor), "
                + "or name the SOCKS port of one that runs."
        )
    }

    private func start(_ program: String, _ log: TorLog) throws -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = ["--defaults-torrc", "/dev/null", "-f", directory + "/torrc"]
        process.standardInput = FileHandle.nullDevice
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        output.fileHandleForReading.readabilityHandler = { handle in
            let data = handle.availableData
            guard data.isEmpty else { return log.append(data) }
            handle.readabilityHandler = nil
            log.end()
        }
        // Its last words may still be on their way, and what it has started may hold the pipe open.
        process.terminationHandler = { _ in
            DispatchQueue.global().asyncAfter(deadline: .now() + Self.lastWords) { log.end() }
        }
        do {
            try process.run()
        } catch {
            throw Problem(.torFailed, "Tor cannot be started: \(program) does not run. Install tor again.")
        }
        return process
    }

    private func waitUntilOpen(_ process: Process, _ log: TorLog) async throws {
        let isOpen = await withTaskGroup(of: Bool.self) { group in
            group.addTask { await log.waitUntilOpen() }
            group.addTask {
                try? await Task.sleep(for: Self.opening)
                return false
            }
            defer { group.cancelAll() }
            return await group.next() ?? false
        }
        try Task.checkCancellation()
        guard isOpen else { throw ended(log) }
    }

    private func ended(_ log: TorLog) -> Problem {
        let why = log.complaint.map { " It said: \($0)" } ?? ""
        return Problem(.torFailed, "The tor that Farseed started does not run.\(why) It is started again by itself.")
    }

    private func end(_ process: Process) {
        guard process.isRunning else { return }
        process.terminate()
        let pid = process.processIdentifier
        // Not awaited: the end of a service must not take this long. Only this very child is meant, while it is one.
        Thread.detachNewThread {
            let deadline = Date.now.addingTimeInterval(Double(Self.ending.components.seconds))
            while process.isRunning, Date.now < deadline { usleep(50_000) }
            if process.isRunning { kill(pid, SIGKILL) }
        }
    }
}

/// What tor prints: whether its control socket is open, and its last complaint.
private final class TorLog: Sendable {
    private struct State {
        var rest = ""
        var complaint: String?
        var isOpen: Bool?
        var waiter: CheckedContinuation<Bool, Never>?
    }

    private let state = Mutex(State())
    /// Characters kept of a line.
    private static let longest = 300

    var complaint: String? { state.withLock(\.complaint) }

    func append(_ data: Data) {
        let waiter: CheckedContinuation<Bool, Never>? = state.withLock { state in
            state.rest += String(decoding: data, as: UTF8.self)
            var lines = state.rest.split(separator: "\n", omittingEmptySubsequences: false)
            state.rest = String((lines.popLast() ?? "").suffix(4_096))
            for line in lines {
                if line.contains("[err]") || line.contains("[warn]"), let text = line.split(separator: "] ").last {
                    let visible = text.unicodeScalars.filter { $0.value >= 0x20 && $0.value < 0x7F }
                    state.complaint = String(String.UnicodeScalarView(visible).prefix(Self.longest))
                }
                if line.contains("Opened Control listener"), state.isOpen == nil { state.isOpen = true }
            }
            guard state.isOpen == true else { return nil }
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume(returning: true)
    }

    func end() {
        let waiter: CheckedContinuation<Bool, Never>? = state.withLock { state in
            state.isOpen = false
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume(returning: false)
    }

    /// True once the control socket is open, false when tor has ended or the task is cancelled.
    func waitUntilOpen() async -> Bool {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let known: Bool? = state.withLock { state in
                    if state.isOpen == nil, !Task.isCancelled { state.waiter = continuation }
                    return state.isOpen ?? (Task.isCancelled ? false : nil)
                }
                if let known { continuation.resume(returning: known) }
            }
        } onCancel: {
            let waiter: CheckedContinuation<Bool, Never>? = state.withLock { state in
                defer { state.waiter = nil }
                return state.waiter
            }
            waiter?.resume(returning: false)
        }
    }
}
