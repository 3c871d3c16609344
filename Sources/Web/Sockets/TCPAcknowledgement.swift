/// What the system knows of a TCP connection's peer besides the bytes that came (Linux's tcp(7)).
import Glibc
import NIOCore

enum TCPAcknowledgement {
    /// How long ago the peer's system acknowledged something last; nil while it has not acknowledged all that it was sent, as
    /// one whose program does not read goes on to answer that it has no room.
    static func age(_ descriptor: NIOBSDSocket.Handle) -> TimeAmount? {
        var waiting: CInt = 0
        guard ioctl(descriptor, UInt(TIOCOUTQ), &waiting) == 0, waiting == 0 else { return nil }
        var info = tcp_info()
        var size = socklen_t(MemoryLayout<tcp_info>.size)
        guard getsockopt(descriptor, CInt(IPPROTO_TCP), TCP_INFO, &info, &size) == 0 else { return nil }
        return .milliseconds(Int64(info.tcpi_last_ack_recv))
    }
}
