/// One thread for a command's calls: that of the event loop of its connection.
import NIOCore
import NIOPosix

/// A short command that scripts call in great numbers: starting threads and passing work between them costs it more than
/// the work.
enum CommandThread {
    /// Runs `body`, which ends the process, and its child tasks on an event loop on this thread.
    ///
    /// Standard input and output and signals have their own, as they may block; so has a session that is opened without a
    /// daemon.
    static func run(_ body: @escaping @Sendable () async -> Never) -> Never {
        MultiThreadedEventLoopGroup.withCurrentThreadAsEventLoop { loop in
            // Nothing here could wait for it; it ends the process.
            Task(executorPreference: LoopExecutor(loop: loop)) { await body() }
        }
        preconditionFailure("The loop of a command ends with the process.")
    }

    /// The loop that this runs on; elsewhere one of the process's.
    static var loop: any EventLoop {
        MultiThreadedEventLoopGroup.currentEventLoop ?? MultiThreadedEventLoopGroup.singleton.any()
    }
}

/// Runs tasks on an event loop, between what its channels do.
private final class LoopExecutor: TaskExecutor {
    private let loop: any EventLoop

    init(loop: any EventLoop) { self.loop = loop }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        loop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}
