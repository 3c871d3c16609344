/// What kind of file a path names, and who may do what with it.
import Glibc

/// By `stat` and not by Foundation's attributes, which also look up the owner's name, and for that ask a name service.
package struct FileMode: Sendable {
    package let isRegular: Bool
    /// The last twelve bits.
    package let permissions: UInt32
    /// The user's number.
    package let owner: UInt32

    /// Follows links; nil where there is no such file, or it may not be looked at.
    package init?(_ path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        isRegular = status.st_mode & S_IFMT == S_IFREG
        permissions = status.st_mode & 0o7777
        owner = status.st_uid
    }
}
