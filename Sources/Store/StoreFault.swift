// SQLite's faults as sentences: what happened, that nothing was changed, what to do.

import GRDB
import Seedbox

enum StoreFault {
    case locked
    case full
    case corrupt
    case notFarseed
    case newer
    case unwritable
    case unopenable(String)
    case unexpected(String)

    /// What `error` means, whether it comes from SQLite or is a problem already.
    static func problem(_ error: any Error, path: String) -> Problem {
        if let problem = error as? Problem { return problem }
        guard let error = error as? DatabaseError else { return StoreFault.unexpected("\(error)").problem(path) }
        let fault: StoreFault
        switch error.resultCode {
        case .SQLITE_BUSY, .SQLITE_LOCKED: fault = .locked
        case .SQLITE_FULL: fault = .full
        case .SQLITE_CORRUPT: fault = .corrupt
        case .SQLITE_NOTADB: fault = .notFarseed
        case .SQLITE_READONLY, .SQLITE_PERM: fault = .unwritable
        case .SQLITE_CANTOPEN: fault = .unopenable(error.message ?? "it cannot be opened")
        case .SQLITE_IOERR: fault = .unopenable("the disk answers with an error (\(error.extendedResultCode))")
        // The message, but never the statement's arguments, which may be secrets' digests or torrents' names.
        default: fault = .unexpected(error.message ?? "\(error.extendedResultCode)")
        }
        return fault.problem(path)
    }

    func problem(_ path: String) -> Problem {
        switch self {
        case .locked:
            Problem(
                .timedOut,
                "The database \(path) is locked by another program, so nothing was changed. "
                    + "End whatever else is writing to it (another farseed, sqlite3, a backup) and try again."
            )
        case .full:
            Problem(
                .tooLarge,
                "There is no room left for the database \(path), so nothing was changed. "
                    + "Free space on its disk, or remove ended jobs, and try again."
            )
        case .corrupt:
            Problem(
                .internalFault,
                "The database \(path) is damaged, and it was left as it is. "
                    + "Restore it from a copy, or move it away to start anew without its jobs and accounts."
            )
        case .notFarseed:
            Problem(
                .configurationInvalid,
                "The file \(path) is not Farseed's database, and it was left as it is. "
                    + "Move it away, or name another state directory."
            )
        case .newer:
            Problem(
                .configurationInvalid,
                "The database \(path) was written by a newer Farseed, and it was left as it is. "
                    + "Install that version again, or name another state directory."
            )
        case .unwritable:
            Problem(
                .secretUnreadable,
                "The database \(path) cannot be written, so nothing was changed. "
                    + "Give the user that runs farseed the file and its directory."
            )
        case .unopenable(let reason):
            Problem(
                .secretUnreadable,
                "The database \(path) cannot be used: \(reason). "
                    + "See that its directory exists and belongs to the user that runs farseed."
            )
        case .unexpected(let reason):
            Problem(
                .internalFault,
                "The database \(path) refused a command, and nothing was changed: \(reason). "
                    + "This is a fault of Farseed; please report it."
            )
        }
    }
}
