/// `farseed user`: who may log in to the page, and what was done by whom.
import ArgumentParser
import Foundation
import Notation
import Seedbox
import Store

extension AccountRole: ExpressibleByArgument {}

struct UserCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "user",
        abstract: "Manage who may log in to the page, and see what was done by whom.",
        discussion: """
            It works on the database of the state directory, whether the daemon runs or not. Passwords are asked for on \
            a terminal, or read as one line of standard input; they are never arguments.
            """,
        subcommands: [Add.self, Password.self, Role.self, Remove.self, Login.self, List.self, Audit.self],
        defaultSubcommand: List.self
    )

    struct Add: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "add",
            abstract: "Add a user.",
            discussion: """
                owner does everything; operator drives torrents; viewer looks; guest is limited to the torrents of the \
                labels given.
                """
        )

        @OptionGroup var options: BoxOptions

        @Argument(help: "The name: lower-case letters, digits, dots, dashes or underscores.")
        var name: String

        @Option(name: .long, help: "owner, operator, viewer or guest.")
        var role: AccountRole

        @Option(name: .long, help: "A label that a guest is limited to; may be repeated.")
        var label: [String] = []

        @Flag(name: .long, help: "Set no password: only a link of `farseed user login` lets the user in.")
        var noPassword = false

        func run() async throws {
            try AccountRules.check(name: name)
            try Owner.check(name, role, labels: label)
            try await UserDesk.with(options.choice) { desk in
                try await desk.audited("user.add", "\(name) as \(role.rawValue)") {
                    // Before somebody types a password twice in vain.
                    if try await desk.ledger.accounts.find(name) != nil { throw AccountTable.duplicate(name) }
                    let password = noPassword ? nil : try await PasswordEntry.read(for: name)
                    _ = try await desk.ledger.accounts.add(
                        name,
                        password: password,
                        role: role,
                        labels: label,
                        now: desk.now
                    )
                }
                OutputFile.standard.print("added \(name), \(role.rawValue)")
            }
        }
    }

    struct Password: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "passwd",
            abstract: "Set a user's password, and end the user's sessions."
        )

        @OptionGroup var options: BoxOptions

        @Argument(help: "The user's name.")
        var name: String

        func run() async throws {
            try await UserDesk.with(options.choice) { desk in
                let ended = try await desk.audited("user.passwd", name) {
                    if try await desk.ledger.accounts.find(name) == nil { throw AccountTable.unknown }
                    let password = try await PasswordEntry.read(for: name)
                    return try await desk.ledger.accounts.setPassword(name, password, now: desk.now)
                }
                try await desk.tellDaemon()
                OutputFile.standard.print("changed the password of \(name); ended \(UserDesk.sessions(ended.count))")
            }
        }
    }

    struct Role: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "role",
            abstract: "Give a user another role or other labels, and end the user's sessions.",
            discussion: "The labels given are all that a guest then has."
        )

        @OptionGroup var options: BoxOptions

        @Argument(help: "The user's name.")
        var name: String

        @Argument(help: "owner, operator, viewer or guest.")
        var role: AccountRole

        @Option(name: .long, help: "A label that a guest is limited to; may be repeated.")
        var label: [String] = []

        func run() async throws {
            try await UserDesk.with(options.choice) { desk in
                let ended = try await desk.audited("user.role", "\(name) to \(role.rawValue)") {
                    try Owner.check(name, role, labels: label)
                    return try await desk.ledger.accounts.setRole(name, role, labels: label, now: desk.now)
                }
                try await desk.tellDaemon()
                OutputFile.standard.print("\(name) is \(role.rawValue) now; ended \(UserDesk.sessions(ended.count))")
            }
        }
    }

    struct Remove: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "remove",
            abstract: "Remove a user, and end the user's sessions."
        )

        @OptionGroup var options: BoxOptions

        @Argument(help: "The user's name.")
        var name: String

        func run() async throws {
            try await UserDesk.with(options.choice) { desk in
                let ended = try await desk.audited("user.remove", name) {
                    try await desk.ledger.accounts.remove(name)
                }
                try await desk.tellDaemon()
                OutputFile.standard.print("removed \(name); ended \(UserDesk.sessions(ended.count))")
            }
        }
    }

    struct Login: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "login",
            abstract: "Print a link that logs a user in once, within an hour.",
            discussion: "Whoever has the link is that user. With allowed-origins, it is a link of the first of them."
        )

        @OptionGroup var options: BoxOptions

        @Argument(help: "The user's name.")
        var name: String

        func run() async throws {
            try await UserDesk.with(options.choice) { desk in
                // Before the link is made, so that none is lost where it cannot be told.
                let page = try await desk.page()
                let token = try await desk.audited("user.login", name) {
                    try await desk.ledger.sessions.issueLink(name, now: desk.now)
                }
                OutputFile.standard.print("\(page)/#login=\(token)")
            }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "list", abstract: "List the users.")

        @OptionGroup var options: BoxOptions
        @OptionGroup var output: FormatOptions<UserRecord>

        func run() async throws {
            try await UserDesk.with(options.choice) { desk in
                let accounts = try await desk.ledger.accounts.list()
                let sessions = try await desk.ledger.sessions.list(now: desk.now)
                let counts = Dictionary(sessions.map { ($0.account.name, 1) }, uniquingKeysWith: +)
                let users = accounts.map { UserText.value($0, sessions: counts[$0.name] ?? 0) }
                if try !output.print(["users": .array(users)], records: users) {
                    OutputFile.standard.print(UserText.lines(accounts, sessions: counts, on: .of(STDOUT_FILENO)))
                }
            }
        }
    }

    struct Audit: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "audit",
            abstract: "Show who did what, when and from where, the newest first."
        )

        @OptionGroup var options: BoxOptions
        @OptionGroup var output: FormatOptions<AuditRecord>

        @Option(name: .customShort("n"), help: "How many entries at most.")
        var count = 50

        @Option(name: .long, help: "Only what this user did.")
        var who: String?

        func validate() throws {
            guard (1...100_000).contains(count) else { throw ValidationError("-n is 1 to 100000.") }
        }

        func run() async throws {
            try await UserDesk.with(options.choice) { desk in
                let entries = try await desk.ledger.audit.entries(who: who, limit: count)
                let values = entries.map { UserText.value($0) }
                if try !output.print(["entries": .array(values)], records: values) {
                    OutputFile.standard.print(UserText.lines(entries, on: .of(STDOUT_FILENO)))
                }
            }
        }
    }
}

extension Owner {
    /// The owner's name stands for this machine's user in the audit log, and so is nobody else's.
    fileprivate static func check(_ name: String, _ role: AccountRole, labels: [String]) throws {
        try AccountRules.check(labels: labels, role: role)
        guard name != Owner.name || role == .owner else {
            throw Problem(.badRequest, "The name \(Owner.name) is kept for an owner. Choose another name or role.")
        }
    }
}
