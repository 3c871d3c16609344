/// Standard input, output and error of this process, unbuffered and off the event loops.
import Dispatch
import Foundation
import NIOCore
import Seedbox

/// One reader of a descriptor of any kind, regular files included, which epoll does not take.
final class InputFile: Sendable {
    private static let piece = 32_768
    private let descriptor: Int32
    private let queue: DispatchQueue

    init(_ descriptor: Int32) {
        self.descriptor = descriptor
        queue = DispatchQueue(label: "farseed.input.\(descriptor)")
    }

    /// Whether nothing comes any more, as far as that can be told without reading: what is there may be another program's.
    var isOver: Bool {
        // A file, or a device like /dev/null.
        let position = lseek(descriptor, 0, SEEK_CUR)
        if position >= 0 {
            var byte: UInt8 = 0
            return pread(descriptor, &byte, 1, position) <= 0
        }
        var look = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&look, 1, 0) == 1 else { return false }
        let told = Int32(look.revents)
        return told & POLLNVAL != 0 || told & (POLLIN | POLLHUP) == POLLHUP
    }

    /// The next bytes as soon as there are any; nil at the end and where reading fails.
    ///
    /// A read that waits cannot be cancelled: the process ends over it.
    func read() async -> ByteBuffer? {
        let descriptor = descriptor
        return await withCheckedContinuation { continuation in
            queue.async {
                var bytes = [UInt8](repeating: 0, count: Self.piece)
                while true {
                    let count = Glibc.read(descriptor, &bytes, bytes.count)
                    if count > 0 { return continuation.resume(returning: ByteBuffer(bytes: bytes[..<count])) }
                    if count < 0, errno == EINTR { continue }
                    if count < 0, errno == EAGAIN {
                        wait(descriptor, POLLIN)
                        continue
                    }
                    return continuation.resume(returning: nil)
                }
            }
        }
    }
}

/// One writer of a descriptor.
final class OutputFile: Sendable {
    static let standard = OutputFile(STDOUT_FILENO)
    static let error = OutputFile(STDERR_FILENO)

    /// A person looks at it, and control characters act.
    let isTerminal: Bool
    private let descriptor: Int32
    private let queue: DispatchQueue

    init(_ descriptor: Int32) {
        self.descriptor = descriptor
        isTerminal = isatty(descriptor) == 1
        queue = DispatchQueue(label: "farseed.output.\(descriptor)")
    }

    /// Returns once all is written; false where nobody reads any more.
    func write(_ bytes: ByteBuffer) async -> Bool {
        await withCheckedContinuation { continuation in
            queue.async { continuation.resume(returning: self.writeNow(bytes)) }
        }
    }

    /// Writes lines from where nothing else is waited for.
    func print(_ lines: [String]) {
        guard !lines.isEmpty else { return }
        _ = queue.sync { writeNow(ByteBuffer(string: lines.joined(separator: "\n") + "\n")) }
    }

    func print(_ line: String) { print([line]) }

    /// Writes text as it is from where nothing else is waited for.
    func write(now text: String) { _ = queue.sync { writeNow(ByteBuffer(string: text)) } }

    private func writeNow(_ bytes: ByteBuffer) -> Bool {
        bytes.withUnsafeReadableBytes { bytes in
            var rest = bytes[...]
            while !rest.isEmpty {
                let piece = UnsafeRawBufferPointer(rebasing: rest)
                let count = Glibc.write(descriptor, piece.baseAddress, piece.count)
                if count >= 0 {
                    rest = rest.dropFirst(count)
                } else if errno == EAGAIN {
                    wait(descriptor, POLLOUT)
                } else if errno != EINTR {
                    return false
                }
            }
            return true
        }
    }
}

/// Waits on a descriptor that somebody else has made non-blocking.
private func wait(_ descriptor: Int32, _ events: Int32) {
    var entry = pollfd(fd: descriptor, events: Int16(events), revents: 0)
    _ = poll(&entry, 1, -1)
}

/// The signals that end a command, as a stream instead of sudden death.
struct EndingSignals {
    /// Catches them from now on; the second of the stream is somebody who will not wait.
    static func stream(_ signals: [Int32] = [SIGINT, SIGTERM, SIGHUP]) -> AsyncStream<Int32> {
        AsyncStream(bufferingPolicy: .bufferingOldest(4)) { continuation in
            let sources = signals.map { number in
                signal(number, SIG_IGN)
                let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
                source.setEventHandler { continuation.yield(number) }
                source.resume()
                return source
            }
            let kept = Kept(sources: sources)
            continuation.onTermination = { _ in kept.cancel() }
        }
    }

    // Dispatch sources may be cancelled from any thread, and nothing else is done with them here.
    private final class Kept: @unchecked Sendable {
        private let sources: [any DispatchSourceSignal]

        init(sources: [any DispatchSourceSignal]) { self.sources = sources }

        func cancel() { for source in sources { source.cancel() } }
    }
}
