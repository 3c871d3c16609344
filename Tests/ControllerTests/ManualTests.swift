/// Manual pages and shell completion, made from the commands themselves.
import ArgumentParser
import Foundation
import Notation
import Testing

@testable import Controller

@Suite struct ManualTests {
    @Test func `every command has a page with all its options`() throws {
        let pages = ManualPages(software: Farseed.software).pages(try JSON.decode(Farseed._dumpHelp()))
        for group in Farseed.configuration.groupedSubcommands {
            for command in group.subcommands {
                let name = command.configuration.commandName ?? ""
                let page = try #require(pages["farseed-\(name).1"])
                #expect(page.contains(".SH SYNOPSIS"))
                #expect(page.contains(ManualPages.escaped(command.configuration.abstract)))
            }
        }
        #expect(pages["farseed-list.1"]?.contains("\\fB\\-\\-format\\fR \\fIformat\\fR") == true)
        #expect(pages["farseed-jobs.1"]?.contains(".SH CANCEL") == true)
        #expect(pages["farseed-manual.1"] == nil)
    }

    @Test(arguments: [(".SH x", "\\&.SH x"), ("a-b", "a\\-b"), ("\\", "\\e"), ("a\n'b", "a\n\\&'b")])
    func `text is no instruction`(text: String, escaped: String) {
        #expect(ManualPages.escaped(text) == escaped)
    }

    @Test(arguments: [CompletionShell.bash, .zsh, .fish])
    func `each shell gets its completion`(shell: CompletionShell) {
        let script = Farseed.completionScript(for: shell)
        for word in ["reannounce", "format", "no-queue"] { #expect(script.contains(word)) }
    }
}
