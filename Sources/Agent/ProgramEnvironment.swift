/// The environment of programs that `exec` runs: a few variables of the agent's own, and what agent.conf adds.

struct ProgramEnvironment: Sendable, Hashable {
    private(set) var variables = ["LANG": "C.UTF-8", "PATH": "/usr/bin:/bin"]
    private var added: Set<String> = []

    /// Of each variable's value, and variables that may be added.
    static let longestValue = 4096
    static let mostVariables = 64

    struct Refusal: Error, Sendable, Hashable {
        /// A sentence that begins with what `exec-environment` does not take.
        var message: String
        init(_ message: String) { self.message = message }
    }

    /// What these change is which code a program loads, where it looks for programs and files, or to whom it talks.
    private static let refusedPrefixes = [
        "BASH", "GCONV", "GLIBC_", "LD_", "MALLOC_", "NODE_", "PERL", "PYTHON", "RUBY",
    ]
    private static let refusedSuffixes = ["PATH", "_PROXY", "_PRELOAD"]
    private static let refusedNames: Set<String> = [
        "ENV", "HOSTALIASES", "IFS", "PROMPT_COMMAND", "PS4", "RESOLV_HOST_CONF", "RES_OPTIONS", "SHELLOPTS",
    ]

    /// Adds `NAME=VALUE`, each name once; of the agent's own only `LANG` may be replaced.
    mutating func add(_ entry: String) throws(Refusal) {
        guard let equals = entry.firstIndex(of: "=") else { throw Refusal("`exec-environment` takes NAME=VALUE.") }
        let (name, value) = (String(entry[..<equals]), String(entry[entry.index(after: equals)...]))
        guard Self.isName(name) else {
            throw Refusal("`exec-environment` takes names of A to Z, 0 to 9 and _ that do not begin with a digit.")
        }
        guard name != "TR_AUTH" else {
            throw Refusal("`exec-environment` takes no TR_AUTH: name the file with the password by rpc-auth-file.")
        }
        guard !Self.refusedNames.contains(name), !Self.refusedPrefixes.contains(where: name.hasPrefix),
            !Self.refusedSuffixes.contains(where: name.hasSuffix)
        else {
            throw Refusal(
                "`exec-environment` takes no \(name), which can change what a program loads or where its requests go."
            )
        }
        guard value.utf8.count <= Self.longestValue, value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else {
            throw Refusal(
                "`exec-environment` takes values of at most \(Self.longestValue) bytes without control characters."
            )
        }
        guard added.count < Self.mostVariables else {
            throw Refusal("`exec-environment` takes at most \(Self.mostVariables) variables.")
        }
        guard added.insert(name).inserted else {
            throw Refusal("`exec-environment` names \(name) already; keep one of them.")
        }
        variables[name] = value
    }

    /// In the form that the kernel takes, with the account that `transmission-remote` reads from `TR_AUTH`.
    func entries(for account: Account?) -> [String] {
        var all = variables
        if let account { all["TR_AUTH"] = "\(account.user):\(account.password)" }
        return all.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
    }

    private static func isName(_ text: String) -> Bool {
        guard let first = text.utf8.first, text.utf8.count <= 64, !(0x30...0x39).contains(first) else { return false }
        return text.utf8.allSatisfy { (0x41...0x5A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x5F }
    }
}
