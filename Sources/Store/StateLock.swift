// One sender of jobs per state directory, the controller or a command without one: two would send the same jobs.

import Glibc
package import Seedbox

/// An advisory lock that lasts as long as this object, and no longer than its process.
package final class StateLock: Sendable {
    private let descriptor: Int32

    /// Takes the lock file, made (0600) where it is missing; nil where another process has it.
    package init?(path: String) throws(Problem) {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0o600)
        guard descriptor >= 0 else {
            throw Problem(
                .secretUnreadable,
                "The lock \(path) cannot be opened: \(String(cString: strerror(errno))). "
                    + "See that its directory exists and belongs to the user that runs farseed."
            )
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            return nil
        }
        self.descriptor = descriptor
    }

    deinit {
        close(descriptor)
    }
}
