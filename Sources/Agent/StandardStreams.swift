/// Standard input and output as the protocol's stream, out of the reach of anything else.

import Calls
import Glibc
import NIOCore
import NIOPosix

/// The originals move to numbers above 2; in their place stand nothing for input and standard error for output, so that
/// a stray print cannot break into the protocol and no program that is started can read it.
struct StandardStreams {
    let input: Int32
    let output: Int32

    init() throws(SmallFile.Failure) {
        input = fcntl(0, F_DUPFD_CLOEXEC, 3)
        output = fcntl(1, F_DUPFD_CLOEXEC, 3)
        let nowhere = Nowhere.open()
        guard input >= 0, output >= 0, nowhere >= 0 else { throw SmallFile.failure("use", "standard input and output") }
        if fcntl(2, F_GETFD) < 0 { dup2(nowhere, 2) }
        dup2(nowhere, 0)
        dup2(2, 1)
        close(nowhere)
    }

    func open(on group: any EventLoopGroup) async throws -> ChannelByteStream {
        let loop = group.next()
        let promise = loop.makePromise(of: ChannelByteStream.self)
        do {
            _ = try await NIOPipeBootstrap(group: loop)
                .channelInitializer { channel in
                    let stream = ChannelByteStream.install(on: channel)
                    stream.cascade(to: promise)
                    return stream.map { _ in }
                }
                .takingOwnershipOfDescriptors(input: input, output: output)
                .get()
            return try await promise.futureResult.get()
        } catch {
            promise.fail(error)
            throw error
        }
    }
}
