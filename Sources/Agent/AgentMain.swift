/// The agent's entry: reads the command line and the configuration, and starts what they ask for.

import Calls
import Glibc
import Logging
import NIOCore
import NIOPosix
import Seedbox
import Transmission

@main
struct AgentMain {
    static func main() async {
        // A vanished reader is an error of the write, not the end of the process.
        signal(SIGPIPE, SIG_IGN)
        Heap.keepSmall()
        // No directory is kept busy, and no program that is started sees where the agent was started from.
        chdir("/")
        let command: AgentCommand
        do {
            command = try AgentCommand(Array(CommandLine.arguments.dropFirst()))
        } catch {
            leave("farseed-agent: \(error.message)", AgentCommand.usageStatus)
        }
        switch command {
        case .help: Output.write(AgentCommand.text)
        case .version: Output.write(Software.name + "\n")
        case .authorize(let role, let configuration, let program): authorize(role, configuration, program)
        case .gate(let role, let configuration):
            switch Gate.decide(getenv("SSH_ORIGINAL_COMMAND").map { String(cString: $0) }) {
            case .refuse(let sentence): leave(sentence, Gate.refusalStatus)
            case .version: Output.write(Software.name + "\n")
            case .serve: await serve(role, configuration)
            }
        case .serve(let role, let configuration): await serve(role, configuration)
        case .resident(let configuration): await resident(configuration)
        case .check(let configuration): await check(configuration)
        }
    }

    private static func authorize(_ role: Role, _ configuration: String?, _ program: String?) {
        let key: String
        do {
            let bytes = try SmallFile.read(descriptor: 0, "standard input", limit: Authorization.largestKey)
            key = String(decoding: bytes, as: UTF8.self)
        } catch {
            leave("farseed-agent: \(error.message)", 1)
        }
        do {
            let line = try Authorization.line(
                key: key,
                role: role,
                program: program ?? ownPath ?? "",
                configuration: configuration
            )
            Output.write(line + "\n")
        } catch {
            leave("farseed-agent: \(error.message)", 1)
        }
    }

    /// Ends when standard input does.
    private static func serve(_ role: Role, _ path: String?) async {
        let setup = Setup(path)
        let streams: StandardStreams
        do {
            streams = try StandardStreams()
        } catch {
            leave("farseed-agent: \(error.message)", 1)
        }
        let stream: ChannelByteStream
        do {
            stream = try await streams.open(on: setup.group)
        } catch {
            leave("farseed-agent: standard input and output must be pipes or sockets, as sshd gives them.", 1)
        }
        if setup.configuration.isResident, let directory = setup.directory {
            let relay = Relay(
                directory: directory,
                identity: setup.identity,
                role: role,
                configuration: path,
                group: setup.group,
                logger: setup.logger
            )
            if let (inside, first) = await relay.connect() {
                return await Relay.run(stream, inside, first: first)
            }
            setup.logger.notice("no resident agent: serving from this process")
        }
        let core = setup.core()
        await withDiscardingTaskGroup { group in
            group.addTask { await core.run() }
            await core.serve(stream, as: role)
            group.cancelAll()
        }
    }

    private static func resident(_ path: String?) async {
        let setup = Setup(path)
        guard let directory = setup.directory else { leave("farseed-agent: there is no state directory.", 1) }
        let resident = Resident(core: setup.core(), directory: directory, identity: setup.identity)
        do {
            try await resident.run {
                Output.write("ready\n")
                // The relay that started us may go now; nothing of ours keeps its pipe open.
                let nowhere = Nowhere.open()
                dup2(nowhere, 1)
                close(nowhere)
            }
        } catch {
            leave("farseed-agent: the resident agent cannot listen in its state directory: \(error)", 1)
        }
    }

    /// For the person who sets the seedbox up.
    private static func check(_ path: String?) async {
        let setup = Setup(path)
        let core = setup.core()
        await withDiscardingTaskGroup { group in
            group.addTask { await core.source.run() }
            let daemon = try? await core.firstDaemonStatus()
            group.cancelAll()
            guard let daemon, daemon.state == .up else {
                leave("farseed-agent: \(daemon?.message ?? "Transmission did not answer.")", 1)
            }
            Output.write(
                "Transmission \(core.source.version ?? "") answers at \(core.client.configuration.authority).\n"
            )
        }
    }

    /// Where this program lies; nil where /proc does not tell.
    private static var ownPath: String? {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink("/proc/self/exe", &buffer, buffer.count)
        guard count > 0, count < buffer.count else { return nil }
        return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

/// Says why on standard error and ends the process.
func leave(_ sentence: String, _ status: Int32) -> Never {
    Output.write(sentence + "\n", to: 2)
    exit(status)
}

enum Output {
    static func write(_ text: String, to descriptor: Int32 = 1) {
        // Nobody is left to be told where this fails.
        try? SmallFile.write(descriptor, Array(text.utf8), "standard output")
    }
}
