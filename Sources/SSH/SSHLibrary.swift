import CLibSSH2

/// The libssh2 this process is linked with.
package enum SSHLibrary {
    /// Its version, such as `1.10.0`.
    package static let version = libssh2_version(0).map { String(cString: $0) } ?? "unknown"

    /// Refuses versions that must not be used; to be called before each session.
    package static func check() throws(SSHError) { try check(version) }

    static func check(_ version: String) throws(SSHError) {
        let numbers = version.split(separator: ".").map { Int($0.prefix { $0.isNumber }) ?? 0 }
        if numbers.lexicographicallyPrecedes([1, 10]) {
            throw SSHError(
                .libraryRefused,
                "libssh2 \(version) is older than 1.10.0, which is the oldest that Farseed works with. "
                    + "Install Debian's libssh2-1 and start again."
            )
        }
        if numbers == [1, 11, 1] {
            throw SSHError(
                .libraryRefused,
                "libssh2 \(version) must not be used: a server can write into this program's memory "
                    + "(CVE-2026-55200). Install Debian's libssh2-1 1.10.0-3+deb12u1 or a later release of libssh2."
            )
        }
    }

    /// `libssh2_init` once a process; the library keeps no other global state that we use.
    static let initialised: Bool = libssh2_init(0) == 0
}
