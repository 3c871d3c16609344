/// The agent's directory for what outlives it.

import Glibc
import Logging
import Seedbox

struct StateDirectory: Sendable {
    let path: String

    /// Where the resident agent listens, and what it holds while it lives.
    var socket: String { path + "/agent.sock" }
    var residentLock: String { path + "/agent.lock" }

    /// Makes it where it is missing; nil, with a warning, where that cannot be: the agent then works without memory.
    static func open(_ configuration: AgentConfiguration, logger: Logger) -> StateDirectory? {
        guard let path = configuration.stateDirectory ?? standardPath else {
            logger.warning("no state directory: neither state-directory nor HOME is set; commands are not remembered")
            return nil
        }
        var made = ""
        for part in path.split(separator: "/") {
            made += "/\(part)"
            if mkdir(made, 0o700) != 0, errno != EEXIST {
                logger.warning("state directory cannot be made", metadata: ["errno": "\(errno)"])
                return nil
            }
        }
        var status = stat()
        guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR, status.st_uid == geteuid(),
            access(path, W_OK | X_OK) == 0
        else {
            logger.warning("state directory is not this user's own; commands are not remembered")
            return nil
        }
        if status.st_mode & 0o077 != 0 { chmod(path, 0o700) }
        return StateDirectory(path: path)
    }

    private static var standardPath: String? {
        if let state = getenv("XDG_STATE_HOME").map({ String(cString: $0) }), state.hasPrefix("/") {
            return state + "/farseed-agent"
        }
        guard let home = getenv("HOME").map({ String(cString: $0) }), home.hasPrefix("/") else { return nil }
        return home + "/.local/state/farseed-agent"
    }

    /// Remembers the highest epoch of a controller and refuses lower ones: a restored or forgotten second controller
    /// must not repeat what the newer one already did.
    func admit(controllerEpoch epoch: Int64) throws {
        let file = path + "/epoch"
        let lock = Glibc.open(path + "/epoch.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard lock >= 0 else { throw unreadable(file) }
        defer { close(lock) }
        guard flock(lock, LOCK_EX) == 0 else { throw unreadable(file) }
        let known: Int64
        if let text = SmallFile.text(file, limit: 64) {
            guard let number = Int64(text.prefix { !$0.isWhitespace }) else { throw unreadable(file) }
            known = number
        } else if access(file, F_OK) == 0 {
            throw unreadable(file)
        } else {
            known = -1
        }
        guard epoch >= known else {
            throw Problem(
                .controllerOutdated,
                "A newer controller (epoch \(known)) has used this seedbox; this one (epoch \(epoch)) may hold old commands. "
                    + "Stop it; or, to go on with it, stop the newer one and start this one again."
            )
        }
        guard epoch > known else { return }
        do {
            try SmallFile.replace(file, with: Array("\(epoch)\n".utf8))
        } catch {
            throw Problem(.agentFailed, error.message)
        }
    }

    private func unreadable(_ file: String) -> Problem {
        Problem(.agentFailed, "The agent cannot read or lock \(file). Check the rights of its state directory.")
    }
}
