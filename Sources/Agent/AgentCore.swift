/// What serves every connection of this process: the watch on Transmission, the host's figures, commands, programs.

import Calls
import Logging
import NIOCore
import NIOPosix
import Notation
import Seedbox
import Transmission
import Wire

/// Put together once; `run()` watches, `serve` answers one connection.
final class AgentCore: Sendable {
    let configuration: AgentConfiguration
    let client: RPCClient
    let source: TorrentSource
    let host: HostMonitor
    let programs: Programs
    let state: StateDirectory?
    let verbs: Verbs
    let journal: Journal
    let group: any EventLoopGroup
    let logger: Logger

    init(
        _ configuration: AgentConfiguration,
        account: Account?,
        state: StateDirectory?,
        group: any EventLoopGroup,
        logger: Logger,
        timing: WatcherTiming? = nil,
        proc: String = "/proc",
        launch: @escaping Programs.Launch = ChildProcess.start
    ) {
        var rpc = configuration.rpc
        rpc.user = account?.user
        rpc.password = account?.password
        self.configuration = configuration
        self.group = group
        self.logger = logger
        client = RPCClient(rpc, group: group)
        // Microseconds of the wall clock: higher than any earlier run's, without a file to keep it in.
        let epoch = WallClock.microseconds
        var usual = WatcherTiming()
        usual.unwatched = configuration.unwatchedInterval * 1000
        usual.lapse(by: configuration.timeLapse)
        source = TorrentSource(client: client, epoch: epoch, timing: timing ?? usual, swept: Heap.giveBack)
        self.state = state
        verbs = Verbs(client: client)
        journal = Journal(state)
        programs = Programs(configuration, rpc: rpc, account: account, group: group, launch: launch)
        let disk = configuration.disk
        let keeper = DiskKeeper(source: source, configuration: disk, verbs: verbs, state: state, logger: logger)
        host = HostMonitor(source: source, diskGuard: keeper, proc: proc, lapse: configuration.timeLapse)
    }

    /// Watches until it is cancelled.
    func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.source.run() }
            group.addTask { await self.host.run() }
        }
    }

    /// Answers one connection until it ends.
    func serve(_ stream: any ByteStream, as role: Role) async {
        let hello = Hello(
            software: Software.name,
            capabilities: ["watch", "exec", "verbs", "details", "resume", "pace"],
            role: role.rawValue
        )
        let number = source.connected()
        defer { source.disconnected(number) }
        let connection = CallConnection(
            stream: stream,
            hello: hello,
            side: .callee,
            handler: Dispatcher(core: self, role: role, connection: number),
            admission: { [state] hello in
                // A key that may only watch must not be able to lock the owner's controller out.
                guard role == .control, let epoch = hello.epoch else { return }
                try state?.admit(controllerEpoch: epoch)
            }
        )
        logger.info("connection opened", metadata: ["connection.role": "\(role.rawValue)"])
        do {
            try await connection.run()
            logger.info("connection closed", metadata: ["connection.role": "\(role.rawValue)"])
        } catch {
            logger.info(
                "connection ended",
                metadata: [
                    "connection.role": "\(role.rawValue)", "connection.reason": "\(Shown.text("\(error)"))",
                ]
            )
        }
    }
}
