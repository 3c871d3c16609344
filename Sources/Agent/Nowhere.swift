/// Descriptors that lead nowhere.

import Glibc

enum Nowhere {
    /// Ends at once where it is read, and takes nothing; an empty root has no /dev/null. -1 where too much is open.
    static func open() -> Int32 {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { return -1 }
        close(ends[1])
        _ = fcntl(ends[0], F_SETFD, FD_CLOEXEC)
        return ends[0]
    }
}
