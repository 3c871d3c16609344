/// The short way of reading `exec`'s line: it may leave a line to the parser, and never reads one otherwise than it.
import ArgumentParser
import Testing

@testable import Controller

@Suite struct ExecRequestTests {
    @Test(arguments: [
        ["exec", "--", "transmission-remote", "-l"],
        ["exec", "--box", "vps", "-n", "--", "transmission-remote", "-l"],
        ["exec", "-b", "vps", "--patience", "0", "-v", "--no-input", "--", "x"],
        ["exec", "--config", "a.toml", "--verbose", "--", "x", "--", "-n", "--box", "y"],
        ["exec", "-n", "-n", "--box", "a", "-b", "b", "--patience", "1", "--patience", "2", "--", "x"],
        ["exec", "--", "--", "x"],
        ["exec", "--", "-h"],
        ["exec", "--box", "", "--", ""],
    ])
    func `a line as the manual has it is read as the parser reads it`(_ line: [String]) throws {
        let short = try #require(ExecRequest(line: line))
        let parsed = try #require(try Farseed.parseAsRoot(line) as? ExecCommand).request
        #expect(short == parsed)
    }

    @Test(arguments: [
        [], ["exec"], ["exec", "--"], ["exec", "x", "--", "y"], ["exec", "x"], ["exec", "--help"],
        ["exec", "-nv", "--", "x"],
        ["exec", "--box=vps", "--", "x"], ["exec", "--box", "--", "x"], ["exec", "--box", "-n", "--", "x"],
        ["exec", "--help", "--", "x"], ["exec", "--patience", "soon", "--", "x"],
        ["exec", "--patience", "-1", "--", "x"],
        ["exec", "--patience", "86401", "--", "x"], ["list", "--", "x"], ["-n", "exec", "--", "x"],
    ])
    func `what is written otherwise, or wrong, is left to the parser`(_ line: [String]) {
        #expect(ExecRequest(line: line) == nil)
    }

    @Test func `no mixture of words is read otherwise than by the parser`() {
        let words = [
            "exec", "--", "-n", "-v", "--box", "-b", "vps", "--config", "--patience", "7", "-7", "x", "--help", "-h",
            "--box=a", "",
            "--version", "-nv",
        ]
        var read = 0
        var random = SeededGenerator(state: 7)
        for _ in 0..<2_000 {
            let line =
                ["exec"] + (0..<Int.random(in: 1...7, using: &random)).map { _ in words.randomElement(using: &random)! }
            guard let short = ExecRequest(line: line) else { continue }
            read += 1
            guard let parsed = (try? Farseed.parseAsRoot(line) as? ExecCommand)?.request else {
                Issue.record("The parser refuses \(line).")
                continue
            }
            #expect(short == parsed)
        }
        #expect(read > 20)
    }
}
