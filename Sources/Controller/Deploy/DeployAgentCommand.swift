/// `farseed deploy-agent`: copies the agent to the seedbox through Tor, binds the box's key to it, and checks it.
import ArgumentParser
import Foundation
import Seedbox
import Tunnel

struct DeployAgentCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "deploy-agent",
        abstract: "Install the agent on the seedbox through Tor, or go back to the version before.",
        discussion: """
            It logs in with an administrator's key, which is used for nothing else, copies the static file under a new \
            name, compares its SHA-256 there, points `current` to it, binds the box's own key to it in \
            authorized_keys, and walks the way as `doctor` does. Where that fails, all of it is taken back. No root, no \
            systemd. A second run changes nothing.
            """
    )

    @OptionGroup var options: BoxOptions

    @Argument(help: "A seedbox's address or name in the configuration, with another login name before an @.")
    var target: String?

    @Option(name: .long, help: "The administrator's private key; ~/.ssh/id_ed25519 otherwise.", completion: .file())
    var key: String?

    @Option(name: .long, help: "The static farseed-agent; the one that was built otherwise.", completion: .file())
    var agent: String?

    @Flag(name: .long, help: "Go back to the version that served before.")
    var rollback = false

    @Flag(name: .long, help: "Look, and say what would be done.")
    var dryRun = false

    @OptionGroup var output: OutputOptions

    func validate() throws {
        if rollback, agent != nil { throw ValidationError("--rollback takes no --agent: the file is there already.") }
    }

    func run() async throws {
        let configuration = try options.choice.load()
        let (box, login) = try DeployTarget.resolve(target, box: options.choice.box, in: configuration)
        let adminKey = key ?? NSHomeDirectory() + "/.ssh/id_ed25519"
        let boxKey = try DeployTarget.boxKey(box, administrator: adminKey)
        let account = try FarCommand.Account(box.user, login: login)
        let file = rollback ? nil : try AgentFile.find(agent)
        let progress = ProgressLine(hidden: output.notation != nil)
        let signals = EndingSignals.stream()
        let (isDry, logger, empty) = (dryRun, options.choice.logger, DeployReport(box: box.name))
        // Of its own, so that a signal can cancel it; it is waited for below.
        let work = Task {
            var report = empty
            progress.note("Logging in…")
            let tor = try await CommandTor.start(configuration, logger: logger)
            do {
                let admin = try await tor.openAdmin(box, of: configuration, user: login, key: adminKey)
                do {
                    let deployment = Deployment(
                        shell: admin,
                        account: account,
                        file: file,
                        key: boxKey,
                        comment: "farseed-\(box.name)",
                        copying: { progress.copied($0, of: $1) },
                        check: { report in
                            progress.note("Checking the way to the agent…")
                            try await Examination.walk(&report, by: tor, to: box, of: configuration) {
                                progress.note($0)
                            }
                        }
                    )
                    try await deployment.run(isDry: isDry, into: &report)
                    await admin.end()
                } catch {
                    await admin.end()
                    throw error
                }
                await tor.end()
            } catch {
                await tor.end()
                throw error
            }
            return report
        }
        // The first signal takes back what was begun; who sends a second one does not wait for that.
        let watching = Task {
            for await signal in signals {
                if work.isCancelled { Foundation.exit(128 + signal) }
                work.cancel()
            }
        }
        defer { watching.cancel() }
        let result = await work.result
        progress.clear()
        try tell(try result.get())
    }

    private func tell(_ report: DeployReport) throws {
        if try !output.print(report.value) {
            OutputFile.standard.print(report.lines(on: .of(STDOUT_FILENO)))
        }
        if let problem = report.problem {
            OutputFile.error.print(Failure.line(problem))
            throw ExitCode(problem.code.exitCode)
        }
    }
}
