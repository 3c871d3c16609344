/// The closed set of commands that `farseed deploy-agent` runs on the seedbox.
import Foundation
import Seedbox

/// Each is one constant script of POSIX sh, given to `sh -c` with its arguments. A script holds no quote `'`, no
/// backslash, no `!` and no newline, so that every login shell hands it on as it is (a test keeps it so); an argument is
/// of letters, digits and a few signs that no shell takes for anything else.
struct FarCommand: Sendable, Hashable {
    /// What the login shell is given, without `Account.prefix`.
    private var words: [String]

    /// Where everything lies, from the account's home on.
    static let place = ".local/lib/farseed"
    /// The first line of the survey's answer; before it stands what a login shell's start files print.
    static let mark = "farseed-deploy"

    /// How a script says what only it can know.
    enum Status {
        static let cutShort: Int32 = 3
        static let damaged: Int32 = 4
        static let otherVersion: Int32 = 5
        static let changedMeanwhile: Int32 = 6
    }

    /// As whom it runs: whoever logs in, or the seedbox's account by the administrator's rights.
    enum Account: Sendable, Hashable {
        case own
        case other(String, isRoot: Bool)

        fileprivate var prefix: String {
            switch self {
            case .own: "exec sh -c"
            case .other(let name, isRoot: true): "exec su -s /bin/sh \(name) -c"
            case .other(let name, isRoot: false): "exec sudo -n -H -u \(name) -- sh -c"
            }
        }

        /// Throws where the name could be anything but a name.
        init(_ account: String, login: String) throws(Problem) {
            guard account != login else {
                self = .own
                return
            }
            guard FarCommand.isPlain(account) else { throw FarCommand.refused(account) }
            self = .other(account, isRoot: login == "root")
        }
    }

    func text(as account: Account) -> String {
        "\(account.prefix) '\(words[0])' farseed" + words.dropFirst().map { " " + $0 }.joined()
    }

    private init(_ script: String, _ arguments: [String]) throws(Problem) {
        for argument in arguments where argument != "-" && !Self.isPlain(argument) { throw Self.refused(argument) }
        words = [script] + arguments
    }

    /// Letters, digits and `. _ @ + / = -`, and no dash in front.
    static func isPlain(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= 1024 && !text.hasPrefix("-")
            && text.utf8.allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
                default: "._@+/=-".utf8.contains(byte)
                }
            }
    }

    private static func refused(_ text: String) -> Problem {
        Problem(
            .refused,
            "\"\(visible(text, atMost: 60))\" holds signs that are not given to a shell on the seedbox. Use letters, "
                + "digits and . _ - @ + / there, or install by hand as Docs/Operations.md says."
        )
    }

    // MARK: The scripts

    /// What is there: home, machine, versions, and the keys' file at the end.
    static func survey(_ label: DeployLabel?) throws(Problem) -> FarCommand {
        try FarCommand(
            "cd \"$HOME\" || exit 1; echo \(mark); echo home \"$(pwd)\"; echo machine \"$(uname -m)\"; d=\(place); "
                + "for t in sha256sum timeout head mv ln; do command -v $t >/dev/null || echo lacks $t; done; "
                + "for l in current previous; do [ -L $d/$l ] && echo $l \"$(readlink $d/$l)\"; done; "
                + "[ -f $d/$1/farseed-agent ] && echo sum \"$(sha256sum < $d/$1/farseed-agent | cut -c 1-64)\"; "
                + "k=.ssh/authorized_keys; "
                + "if [ -L $k ]; then echo keys other; elif [ -f $k ]; then echo keys file; cat $k; "
                + "elif [ -e $k ]; then echo keys other; else echo keys none; fi",
            [label?.description ?? "-"]
        )
    }

    /// Takes the file from standard input, proves it whole and alive, and only then gives it its name.
    static func copy(_ label: DeployLabel, digest: String, size: Int, version: String) throws(Problem) -> FarCommand {
        try FarCommand(
            "cd \"$HOME\" || exit 1; umask 022; d=\(place); mkdir -p $d/$1 || exit 1; rm -f $d/*/incoming.*; "
                + "t=$d/$1/incoming.$$; trap \"rm -f $t; rmdir $d/$1 2>/dev/null\" EXIT; trap \"exit 1\" HUP INT TERM; "
                + "head -c $3 > $t || exit 1; [ \"$(wc -c < $t)\" -eq $3 ] || exit \(Status.cutShort); "
                + "[ \"$(sha256sum < $t | cut -c 1-64)\" = $2 ] || exit \(Status.damaged); "
                + "chmod 755 $t || exit 1; v=\"$(timeout 20 $t version 2>&1 | head -c 200)\"; "
                + "[ \"$v\" = \"farseed-agent $4\" ] || { echo \"$v\" >&2; exit \(Status.otherVersion); }; "
                + "sync $t 2>/dev/null || sync; mv -f $t $d/$1/farseed-agent",
            [label.description, digest, "\(size)", version]
        )
    }

    /// Points `current` and `previous`, each by one rename; nil takes the link away.
    static func switchTo(_ current: DeployLabel?, previous: DeployLabel?) throws(Problem) -> FarCommand {
        try FarCommand(
            "cd \"$HOME/\(place)\" || exit 1; [ $1 = - ] || [ -x $1/farseed-agent ] || exit 1; "
                + "trap \"rm -f current.$$ previous.$$\" EXIT; "
                + "point() { if [ $2 = - ]; then rm -f $1; else rm -f $1.$$; ln -s $2 $1.$$ && mv -fT $1.$$ $1; fi; }; "
                + "point previous $2 && point current $1",
            [current?.description ?? "-", previous?.description ?? "-"]
        )
    }

    /// Lets the agent make the key's line for `authorized_keys`.
    static func line(
        _ label: DeployLabel,
        key: String,
        comment: String,
        configuration: String?
    ) throws(Problem) -> FarCommand {
        try FarCommand(
            "cd \"$HOME\" || exit 1; d=\"$(pwd)/\(place)\"; echo ssh-ed25519 $2 $3 | timeout 20 "
                + "\"$d/$1/farseed-agent\" authorize --role control --program \"$d/current/farseed-agent\" "
                + "${4:+--config $4}",
            [label.description, key, comment] + (configuration.map { [$0] } ?? [])
        )
    }

    /// Replaces the keys' file by standard input, if it still is the one that was read; keeps its mode.
    static func writeKeys(over before: String?, digest: String, size: Int) throws(Problem) -> FarCommand {
        try FarCommand(
            "cd \"$HOME\" || exit 1; umask 077; mkdir -p .ssh || exit 1; k=.ssh/authorized_keys; t=$k.farseed.$$; "
                + "trap \"rm -f $t\" EXIT; trap \"exit 1\" HUP INT TERM; \(same)"
                + "if [ -f $k ]; then cp -p $k $t || exit 1; fi; head -c $3 > $t || exit 1; "
                + "[ \"$(wc -c < $t)\" -eq $3 ] || exit \(Status.cutShort); "
                + "[ \"$(sha256sum < $t | cut -c 1-64)\" = $2 ] || exit \(Status.damaged); "
                + "same $1 || exit \(Status.changedMeanwhile); sync $t 2>/dev/null || sync; mv -f $t $k",
            [before ?? "-", digest, "\(size)"]
        )
    }

    /// Takes the keys' file away again, where there was none before.
    static func dropKeys(_ digest: String) throws(Problem) -> FarCommand {
        try FarCommand(
            "cd \"$HOME\" || exit 1; k=.ssh/authorized_keys; \(same)same $1 || exit \(Status.changedMeanwhile); "
                + "rm -f $k",
            [digest]
        )
    }

    /// Removes all versions but these.
    static func prune(_ current: DeployLabel, _ previous: DeployLabel?) throws(Problem) -> FarCommand {
        try FarCommand(
            "cd \"$HOME/\(place)\" || exit 1; for v in *-*; do case $v in $1 | $2) ;; "
                + "*) rm -f \"$v/farseed-agent\" \"$v\"/incoming.*; rmdir \"$v\";; esac; done",
            [current.description, previous?.description ?? "-"]
        )
    }

    private static let same =
        "same() { if [ $1 = - ]; then if [ -e $k ]; then return 1; fi; "
        + "else [ \"$(sha256sum < $k | cut -c 1-64)\" = $1 ]; fi; }; "
}
