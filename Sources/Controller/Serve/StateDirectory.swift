/// The directory that holds the database, the control socket and tor's own files.
import Foundation
import Seedbox
import Store

enum StateDirectory {
    /// Makes the directory where it is missing, for its owner alone; refuses one that others may write to.
    static func prepare(_ path: String) throws {
        do {
            try FileManager.default.createDirectory(
                atPath: path,
                withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o700]
            )
        } catch {
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
}
