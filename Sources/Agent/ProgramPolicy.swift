/// Decides which programs `exec` runs, and with which arguments.

import Seedbox
import Transmission

/// Pure: what a caller asks for becomes what is started, or a problem.
struct ProgramPolicy: Sendable {
    struct Plan: Sendable, Hashable {
        var path: String
        var arguments: [String]
        /// Whether it is told the password of Transmission's RPC, by TR_AUTH.
        var isTrusted: Bool
    }

    /// Arguments at most, and bytes of them all: well under what the kernel takes.
    static let mostArguments = 2048
    static let largestArguments = 100_000

    private let configuration: AgentConfiguration
    private let rpc: RPCConfiguration

    init(_ configuration: AgentConfiguration, rpc: RPCConfiguration) {
        self.configuration = configuration
        self.rpc = rpc
    }

    /// `exists` says whether there is an executable file.
    func plan(_ argv: [String], exists: (String) -> Bool) throws(Problem) -> Plan {
        guard let name = argv.first, !name.isEmpty else {
            throw Problem(.badRequest, "`argv` is empty; its first entry is the program.")
        }
        guard argv.count <= Self.mostArguments, argv.reduce(0, { $0 + $1.utf8.count + 1 }) <= Self.largestArguments
        else {
            throw Problem(.tooLarge, "The arguments are longer than \(Self.largestArguments) bytes in all.")
        }
        guard !argv.contains(where: { $0.utf8.contains(0) }) else {
            throw Problem(.badRequest, "An argument holds a zero byte, which no program can be given.")
        }
        let arguments = Array(argv.dropFirst())
        let remote = configuration.transmissionRemote
        if name == "transmission-remote" || name == remote || AgentConfiguration.transmissionRemotePlaces.contains(name)
        {
            let places = remote.map { [$0] } ?? AgentConfiguration.transmissionRemotePlaces
            guard let path = places.first(where: exists) else {
                throw Problem(
                    .programMissing,
                    "There is no transmission-remote at \(places.joined(separator: " or ")). Install the package "
                        + "transmission-cli on the seedbox, or set transmission-remote in agent.conf."
                )
            }
            return try remotePlan(path, arguments)
        }
        let candidates = configuration.allowedPrograms.filter { $0.path == name }
        guard !candidates.isEmpty else {
            throw Problem(
                .notPermitted,
                "The agent runs transmission-remote only, not \(Shown.text(name)). Allow more with allow-exec in agent.conf "
                    + "on the seedbox."
            )
        }
        guard candidates.contains(where: { Self.fits(arguments, $0.patterns) }) else {
            throw Problem(
                .notPermitted,
                "agent.conf allows \(Shown.text(name)), but not with these arguments."
            )
        }
        guard exists(name) else {
            throw Problem(.programMissing, "There is no program at \(Shown.text(name)) on the seedbox.")
        }
        return Plan(path: name, arguments: arguments, isTrusted: false)
    }

    /// `transmission-remote` takes an address as its first argument where that does not begin with a dash. Where the
    /// caller gives none, it is this box's; the password goes to this box's only.
    private func remotePlan(_ path: String, _ arguments: [String]) throws(Problem) -> Plan {
        for argument in arguments where Self.isForbidden(argument) {
            // What is joined to the option may be the password.
            let option = argument.hasPrefix("--") ? argument.prefix { $0 != "=" }.prefix(24) : argument.prefix(2)
            throw Problem(
                .notPermitted,
                "The agent does not pass \(Shown.text(String(option))) on: passwords stay on the seedbox "
                    + "(rpc-auth-file in agent.conf), and transmission-remote names no scripts."
            )
        }
        var rest = arguments.filter { $0 != "-ne" && $0 != "--authenv" }
        var address = self.address
        if let first = rest.first, !first.hasPrefix("-") {
            address = first
            rest.removeFirst()
        }
        let isOwn = address == self.address || address == rpc.authority
        let isTrusted = isOwn && rpc.user != nil
        return Plan(path: path, arguments: [address] + (isTrusted ? ["-ne"] : []) + rest, isTrusted: isTrusted)
    }

    /// `ADDRESS:PORT`, or a URL without its final `rpc` where the path is not the usual one.
    private var address: String {
        guard rpc.path != "/transmission/rpc" else { return rpc.authority }
        let base = rpc.path.hasSuffix("/rpc") ? String(rpc.path.dropLast(3)) : rpc.path + "/"
        return "http://\(rpc.authority)\(base)"
    }

    /// Options that carry a password, in every spelling that transmission-remote takes (`-nuser:pw`, `--auth=…`), and
    /// those that name a program for the daemon to run.
    private static func isForbidden(_ argument: String) -> Bool {
        if argument == "-ne" || argument == "--authenv" { return false }
        if argument.hasPrefix("--") {
            let name = argument.prefix { $0 != "=" }
            return name.hasPrefix("--auth") || name.hasPrefix("--netrc")
                || (name.hasSuffix("-script") && !name.hasPrefix("--no-"))
        }
        return argument.hasPrefix("-n") || argument.hasPrefix("-N")
    }

    /// `*` stands for any text within an argument, a last `...` for any further arguments. An argument may begin with a
    /// dash only where its pattern does.
    static func fits(_ arguments: [String], _ patterns: [String]?) -> Bool {
        guard var patterns else { return true }
        var arguments = arguments
        if patterns.last == "..." {
            patterns.removeLast()
            guard arguments.count >= patterns.count else { return false }
            arguments.removeLast(arguments.count - patterns.count)
        }
        guard arguments.count == patterns.count else { return false }
        return zip(arguments, patterns).allSatisfy { argument, pattern in
            if argument.hasPrefix("-"), !pattern.hasPrefix("-") { return false }
            return matches(Array(argument.utf8), Array(pattern.utf8))
        }
    }

    /// Without recursion: a hostile argument must not make this slow.
    private static func matches(_ text: [UInt8], _ pattern: [UInt8]) -> Bool {
        let star = UInt8(ascii: "*")
        var (place, want) = (0, 0)
        var retry: (place: Int, want: Int)?
        while place < text.count {
            if want < pattern.count, pattern[want] == star {
                retry = (place, want)
                want += 1
            } else if want < pattern.count, pattern[want] == text[place] {
                place += 1
                want += 1
            } else if let last = retry {
                retry = (last.place + 1, last.want)
                place = last.place + 1
                want = last.want + 1
            } else {
                return false
            }
        }
        return pattern[want...].allSatisfy { $0 == star }
    }
}
