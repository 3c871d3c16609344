/// What `agent.conf` says, with defaults that work without it.

import Transmission

struct AgentConfiguration: Sendable, Hashable {
    var rpc = RPCConfiguration()
    /// Whether `rpc` may be elsewhere than on loopback.
    var rpcAnyAddress = false
    /// A file of mode 0600 or 0400 that holds `USER:PASSWORD`.
    var rpcAuthFile: String?
    /// Holds the journal of commands, the highest controller epoch and the resident agent's socket.
    var stateDirectory: String?
    /// Absolute path; nil searches `transmissionRemotePlaces`.
    var transmissionRemote: String?
    var allowedPrograms: [AllowedProgram] = []
    var exec = ExecLimits()
    var disk = DiskGuard()
    /// Seconds between two looks at Transmission while nobody looks.
    var unwatchedInterval: Int64 = 15
    /// By how much faster than usual Transmission and the host are looked at: a day's looks in minutes, to measure them.
    var timeLapse: Int64 = 1
    /// Whether one process per user holds the state for all sessions, so that a lost connection misses nothing.
    var isResident = true
    /// Of swift-log: `trace` to `critical`.
    var logLevel = "info"

    /// Besides `transmission-remote`: a program and what its arguments must look like.
    struct AllowedProgram: Sendable, Hashable {
        var path: String
        /// One for each argument, `*` standing for any text; the last may be `...`, any further arguments. Nil: any at all.
        var patterns: [String]?
    }

    struct ExecLimits: Sendable, Hashable {
        var environment = ProgramEnvironment()
        /// Seconds until a program is ended.
        var time: Int64 = 600
        /// Bytes of standard output and error together.
        var output: Int64 = 64 << 20
        /// Programs at the same time.
        var count = 64
    }

    struct DiskGuard: Sendable, Hashable {
        /// Bytes that shall stay free in every download directory.
        var reserve: Int64 = 2 << 30
        /// Whether downloads are paused, the lowest priority first, while less is free.
        var pauses = false
    }

    static let transmissionRemotePlaces = ["/usr/bin/transmission-remote", "/usr/local/bin/transmission-remote"]
}

/// One line that could not be read, for a person.
struct ConfigurationFault: Error, Sendable, Hashable, CustomStringConvertible {
    var line: Int
    var message: String

    var description: String { "line \(line): \(message)" }
}

/// All faults of a file at once.
struct ConfigurationFaults: Error, Sendable, Hashable {
    var faults: [ConfigurationFault]
}

extension AgentConfiguration {
    /// A file longer than this is no configuration.
    static let largestFile = 1 << 20

    /// Reads `keyword value` or `keyword = value` lines; `#` begins a comment line. A keyword stands once, but for those
    /// of `repeatable`.
    init(parsing text: String) throws(ConfigurationFaults) {
        var faults: [ConfigurationFault] = []
        var seen: [String: Int] = [:]
        for (index, line) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
            guard let (keyword, words) = Self.entry(line) else { continue }
            do throws(Reason) {
                if !Self.repeatable.contains(keyword),
                    let earlier = seen.updateValue(index + 1, forKey: keyword)
                {
                    throw Reason("`\(Shown.text(keyword))` stands in line \(earlier) already; keep one of them.")
                }
                try take(keyword, words)
            } catch {
                faults.append(ConfigurationFault(line: index + 1, message: error.message))
            }
        }
        if !rpcAnyAddress, !rpc.isLoopback, let line = seen["rpc-url"] {
            let message =
                "`rpc-url` is not on loopback (127.0.0.0/8 or ::1), and RPC carries the password in the clear. Where "
                + "Transmission is in a container of this machine, allow it with `rpc-any-address yes`."
            faults.append(ConfigurationFault(line: line, message: message))
            faults.sort { $0.line < $1.line }
        }
        if !faults.isEmpty { throw ConfigurationFaults(faults: faults) }
    }

    /// The keyword of a line and the words behind it, with or without an equals sign between; nil where it says nothing.
    private static func entry(_ line: Substring) -> (keyword: String, words: [String])? {
        func isBlank(_ character: Character) -> Bool { character == " " || character == "\t" }
        let line = line.drop(while: isBlank)
        guard !line.isEmpty, !line.hasPrefix("#") else { return nil }
        let keyword = line.prefix { !isBlank($0) && $0 != "=" }
        var rest = line[keyword.endIndex...].drop(while: isBlank)
        if rest.first == "=" { rest.removeFirst() }
        return (String(keyword), rest.split(whereSeparator: isBlank).map(String.init))
    }

    private struct Reason: Error {
        var message: String
        init(_ message: String) { self.message = message }
    }

    private static let keywords = [
        "rpc-url", "rpc-any-address", "rpc-auth-file", "state-directory", "transmission-remote", "allow-exec",
        "exec-time-limit", "exec-output-limit", "exec-environment", "disk-reserve", "disk-guard", "unwatched-interval",
        "time-lapse", "resident", "log-level",
    ]
    private static let repeatable: Set<String> = ["allow-exec", "exec-environment"]

    private mutating func take(_ keyword: String, _ words: [String]) throws(Reason) {
        switch keyword {
        case "rpc-url":
            guard let rpc = RPCConfiguration(url: try one(words, keyword)) else {
                throw Reason(
                    "`rpc-url` takes http://ADDRESS:PORT/PATH with a numeric address or localhost, such as "
                        + "http://127.0.0.1:9091/transmission/rpc."
                )
            }
            self.rpc = rpc
        case "rpc-any-address": rpcAnyAddress = try truth(words, keyword)
        case "rpc-auth-file": rpcAuthFile = try path(words, keyword)
        case "state-directory": stateDirectory = try path(words, keyword)
        case "transmission-remote": transmissionRemote = try path(words, keyword)
        case "allow-exec":
            guard let program = words.first, Self.isPath(program) else {
                throw Reason("`allow-exec` takes an absolute path and, if you like, a pattern for each argument.")
            }
            let patterns = Array(words.dropFirst())
            if let dots = patterns.firstIndex(of: "..."), dots != patterns.count - 1 {
                throw Reason("`...` means any further arguments, so it can only be the last pattern.")
            }
            allowedPrograms.append(AllowedProgram(path: program, patterns: patterns.isEmpty ? nil : patterns))
        case "exec-time-limit": exec.time = try number(words, keyword, 1...86_400)
        case "exec-output-limit": exec.output = try size(words, keyword)
        case "exec-environment":
            let entry = try one(words, keyword)
            do {
                try exec.environment.add(entry)
            } catch {
                throw Reason(error.message)
            }
        case "disk-reserve": disk.reserve = try size(words, keyword)
        case "disk-guard": disk.pauses = try truth(words, keyword)
        case "unwatched-interval": unwatchedInterval = try number(words, keyword, 10...30)
        case "time-lapse": timeLapse = try number(words, keyword, 1...1000)
        case "resident": isResident = try truth(words, keyword)
        case "log-level":
            let level = try one(words, keyword)
            let levels = ["trace", "debug", "info", "notice", "warning", "error", "critical"]
            guard levels.contains(level) else {
                throw Reason("`log-level` is one of \(levels.joined(separator: ", ")).")
            }
            logLevel = level
        default:
            throw Reason(
                "`\(Shown.text(keyword))` is no keyword. Known are \(Self.keywords.joined(separator: ", "))."
            )
        }
    }

    private func one(_ words: [String], _ keyword: String) throws(Reason) -> String {
        guard words.count == 1 else { throw Reason("`\(keyword)` takes one value, not \(words.count).") }
        return words[0]
    }

    private func path(_ words: [String], _ keyword: String) throws(Reason) -> String {
        let path = try one(words, keyword)
        guard Self.isPath(path) else { throw Reason("`\(keyword)` takes an absolute path.") }
        return path
    }

    private static func isPath(_ text: String) -> Bool {
        text.hasPrefix("/") && text.utf8.count < 4096 && !text.utf8.contains(0)
            && !text.split(separator: "/").contains("..")
    }

    private func truth(_ words: [String], _ keyword: String) throws(Reason) -> Bool {
        switch try one(words, keyword) {
        case "yes", "true", "on": return true
        case "no", "false", "off": return false
        default: throw Reason("`\(keyword)` is yes or no.")
        }
    }

    private func number(_ words: [String], _ keyword: String, _ range: ClosedRange<Int64>) throws(Reason) -> Int64 {
        guard let number = Int64(try one(words, keyword)), range.contains(number) else {
            throw Reason("`\(keyword)` takes a whole number from \(range.lowerBound) to \(range.upperBound).")
        }
        return number
    }

    private func size(_ words: [String], _ keyword: String) throws(Reason) -> Int64 {
        var digits = try one(words, keyword)[...]
        var shift: Int64 = 0
        if let unit = digits.last, let place = ["K", "M", "G", "T"].firstIndex(of: unit.uppercased()) {
            shift = Int64(place + 1) * 10
            digits.removeLast()
        }
        guard let number = Int64(digits), (0...1 << 20).contains(number) || shift == 0 && number >= 0 else {
            throw Reason("`\(keyword)` takes bytes, or a number with K, M, G or T behind it, such as 5G.")
        }
        return number << shift
    }
}
