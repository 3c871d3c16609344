/// The directory that holds the database, the control socket and tor's own files.
import Foundation
import Seedbox
import Store

enum StateDirectory {
    /// Makes the directory where it is missing, for its owner alone; refuses one that others may write to.
    static func prepare(_ path: String) throws {
        guard make(path) else {
            throw Problem(
                .configurationInvalid,
                "The state directory \(visible(path)) cannot be made. Make it by hand for this user, or choose another "
                    + "by XDG_STATE_HOME."
            )
        }
        guard let mode = FileMode(path), mode.permissions & 0o022 == 0 else {
            throw Problem(
                .configurationInvalid,
                "Others may write to the state directory \(visible(path)), and so could take the controller over. "
                    + "Run: chmod 700 \(visible(path))"
            )
        }
    }

    /// Likewise for a command that works without a daemon, whose jobs are those of the directory's owner alone.
    static func prepareOwn(_ path: String) throws {
        if let mode = FileMode(path), mode.owner != geteuid() {
            throw Problem(
                .notPermitted,
                "No daemon runs, and the jobs in \(visible(path)) are those of user \(mode.owner). Start `farseed serve` "
                    + "there, or run this as that user."
            )
        }
        try prepare(path)
    }

    static func database(_ configuration: Configuration) -> String { configuration.stateDirectory + "/farseed.db" }
    static func lock(_ configuration: Configuration) -> String { configuration.stateDirectory + "/farseed.lock" }

    /// Makes a directory and those above it that are missing, for the owner alone; false where that fails, `errno` says
    /// why. Foundation would ask for the name of each one's owner, perhaps from a directory server and past Tor.
    static func make(_ path: String) -> Bool {
        if mkdir(path, 0o700) == 0 { return true }
        if errno == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex {
            return make(String(path[..<slash])) && mkdir(path, 0o700) == 0
        }
        var isDirectory: ObjCBool = false
        return errno == EEXIST && FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory)
            && isDirectory.boolValue
    }
}
