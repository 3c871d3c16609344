/// Manual pages made from what the argument parser knows of the commands, so that both always agree.
import Notation

/// Pages in man(7)'s language by their names, such as `farseed-list.1`; pure.
struct ManualPages {
    private let software: String

    init(software: String) { self.software = software }

    /// `dump` is the parser's description of all commands, as `--experimental-dump-help` prints it.
    func pages(_ dump: Value) -> [String: String] {
        guard let root = dump["command"] else { return [:] }
        let commands = (root["subcommands"]?.array ?? []).filter { Self.isShown($0) && $0["commandName"] != "help" }
        var pages = ["farseed.1": overview(root, commands)]
        for command in commands {
            let name = "farseed-" + Self.name(command)
            pages[name + ".1"] = page(command, name)
        }
        return pages
    }

    private func overview(_ root: Value, _ commands: [Value]) -> String {
        var page = head("farseed", Self.text(root["abstract"]))
        page += ".SH SYNOPSIS\n.B farseed\n\\fIcommand\\fR [\\fIoption\\fR ...]\n"
        page += description(root)
        page += ".SH COMMANDS\n"
        for command in commands {
            page +=
                ".TP\n.BR farseed\\-\(Self.escaped(Self.name(command))) (1)\n\(Self.escaped(Self.text(command["abstract"])))\n"
        }
        page += options(root)
        page += ".SH EXIT STATUS\n0 is success, 64 wrong usage; each failure has a number of its own, listed in "
        page += "Docs/Operations.md.\n"
        return page
    }

    private func page(_ command: Value, _ name: String) -> String {
        var page = head(name, Self.text(command["abstract"]))
        page += ".SH SYNOPSIS\n" + synopsis(command, "farseed " + Self.name(command))
        let parts = (command["subcommands"]?.array ?? []).filter(Self.isShown)
        for part in parts { page += ".br\n" + synopsis(part, "farseed \(Self.name(command)) \(Self.name(part))") }
        page += description(command) + options(command)
        for part in parts where part["commandName"] != "help" {
            page += ".SH \(Self.escaped(Self.name(part).uppercased()))\n\(Self.escaped(Self.text(part["abstract"])))\n"
            if let discussion = part["discussion"]?.string { page += ".PP\n\(Self.escaped(discussion))\n" }
            page += entries(part)
        }
        return page + ".SH SEE ALSO\n.BR farseed (1)\n"
    }

    private func head(_ name: String, _ abstract: String) -> String {
        """
        .TH \(Self.escaped(name.uppercased())) 1 "" "\(Self.escaped(software))" "Farseed"
        .SH NAME
        \(Self.escaped(name)) \\- \(Self.escaped(abstract))

        """
    }

    private func description(_ command: Value) -> String {
        guard let discussion = command["discussion"]?.string, !discussion.isEmpty else { return "" }
        return ".SH DESCRIPTION\n\(Self.escaped(discussion))\n"
    }

    private func synopsis(_ command: Value, _ name: String) -> String {
        let arguments = Self.arguments(command).filter { $0["kind"] == "positional" }.map { argument in
            let name = "\\fI\(Self.escaped(Self.text(argument["valueName"])))\\fR"
            let many = argument["isRepeating"]?.bool == true ? " ..." : ""
            return argument["isOptional"]?.bool == true ? "[\(name)\(many)]" : name + many
        }
        return ".B \(Self.escaped(name))\n[\\fIoption\\fR ...] \(arguments.joined(separator: " "))\n"
    }

    private func options(_ command: Value) -> String {
        let entries = entries(command)
        return entries.isEmpty ? "" : ".SH OPTIONS\n" + entries
    }

    private func entries(_ command: Value) -> String {
        Self.arguments(command).map { argument in
            ".TP\n\(Self.label(argument))\n\(Self.escaped(Self.text(argument["abstract"])))\n"
        }.joined()
    }

    private static func label(_ argument: Value) -> String {
        let value = "\\fI\(escaped(text(argument["valueName"])))\\fR"
        if argument["kind"] == "positional" { return value }
        let names = (argument["names"]?.array ?? []).map { name in
            "\\fB" + escaped((name["kind"] == "long" ? "--" : "-") + text(name["name"])) + "\\fR"
        }
        return names.joined(separator: ", ") + (argument["kind"] == "option" ? " " + value : "")
    }

    private static func arguments(_ command: Value) -> [Value] { (command["arguments"]?.array ?? []).filter(isShown) }
    private static func isShown(_ part: Value) -> Bool { part["shouldDisplay"]?.bool != false }
    private static func name(_ command: Value) -> String { text(command["commandName"]) }
    private static func text(_ value: Value?) -> String { value?.string ?? "" }

    /// Text that troff takes for nothing but text.
    static func escaped(_ text: String) -> String {
        let escaped = text.replacing("\\", with: "\\e").replacing("-", with: "\\-")
        return escaped.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            line.hasPrefix(".") || line.hasPrefix("'") ? "\\&" + line : String(line)
        }.joined(separator: "\n")
    }
}
