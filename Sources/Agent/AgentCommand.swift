/// The agent's command line: a few subcommands, read without a library that would bring Foundation along.

enum AgentCommand: Sendable, Hashable {
    /// Under sshd's forced command.
    case gate(Role, configuration: String?)
    /// On standard input and output, as the gate does in the end.
    case serve(Role, configuration: String?)
    /// The process that holds the state for all sessions; `serve` starts it.
    case resident(configuration: String?)
    /// `program` is the path that the line names; nil: where this program lies.
    case authorize(Role, configuration: String?, program: String?)
    /// Reads the configuration and says whether it is sound.
    case check(configuration: String?)
    case version
    case help

    static let usageStatus: Int32 = 64

    static let text = """
        farseed-agent runs on the seedbox and answers the farseed controller.

        farseed-agent authorize --role control|read|bulk [--config FILE] [--program FILE] < key.pub
            prints the line for ~/.ssh/authorized_keys that lets this key in; --program is the path of
            this program that stays the same when a new version comes
        farseed-agent gate --role control|read|bulk [--config FILE]
            what that line runs; refuses whatever is not the controller
        farseed-agent serve [--role control|read|bulk] [--config FILE]
            speaks the protocol of Docs/Wire.md on standard input and output
        farseed-agent check [--config FILE]
            reads the configuration, asks Transmission, and says what it finds
        farseed-agent version
        farseed-agent --help

        Without --config, ~/.config/farseed/agent.conf is read, or /etc/farseed/agent.conf, or neither.

        """

    struct Misuse: Error, Sendable, Hashable {
        var message: String
    }

    /// `arguments` without the program's name.
    init(_ arguments: [String]) throws(Misuse) {
        guard let verb = arguments.first else {
            throw Misuse(message: "Say what to do; `farseed-agent --help` lists it.")
        }
        var role: Role?
        var configuration: String?
        var program: String?
        var rest = arguments.dropFirst()
        func path(_ option: String, _ value: String, _ known: String?) throws(Misuse) -> String {
            guard known == nil, value.hasPrefix("/") else {
                throw Misuse(message: "`\(option)` stands once and takes an absolute path.")
            }
            return value
        }
        while let option = rest.popFirst() {
            let isKnown = ["--role", "--config"].contains(option) || option == "--program" && verb == "authorize"
            guard isKnown else {
                throw Misuse(message: "`\(Shown.text(option))` is no option; `farseed-agent --help` lists them.")
            }
            guard let value = rest.popFirst() else { throw Misuse(message: "`\(option)` needs a value.") }
            switch option {
            case "--role":
                guard role == nil, let given = Role(rawValue: value) else {
                    throw Misuse(message: "`--role` stands once and is control, read or bulk.")
                }
                role = given
            case "--config": configuration = try path(option, value, configuration)
            default: program = try path(option, value, program)
            }
        }
        func needed() throws(Misuse) -> Role {
            guard let role else { throw Misuse(message: "`\(verb)` needs `--role control`, `read` or `bulk`.") }
            return role
        }
        switch verb {
        case "gate": self = .gate(try needed(), configuration: configuration)
        case "serve": self = .serve(role ?? .control, configuration: configuration)
        case "resident": self = .resident(configuration: configuration)
        case "authorize": self = .authorize(try needed(), configuration: configuration, program: program)
        case "check": self = .check(configuration: configuration)
        case "version", "--version": self = .version
        case "help", "--help", "-h": self = .help
        default: throw Misuse(message: "`\(Shown.text(verb))` is no command; `farseed-agent --help` lists them.")
        }
    }
}
