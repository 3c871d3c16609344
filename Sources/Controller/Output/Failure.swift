/// Brings every error that can end a command into the closed list.
import Calls
import Seedbox
import Wire

enum Failure {
    /// Nil for what the argument parser tells itself: help, wrong usage, an exit code of our own.
    static func problem(_ error: any Error) -> Problem? {
        switch error {
        case let problem as Problem: problem
        case let faults as ConfigurationFaults: faults.problem
        case let error as CallsError: problem(of: error)
        case is CancellationError: Problem(.cancelled, "The command was cancelled.")
        default: nil
        }
    }

    private static func problem(of error: CallsError) -> Problem {
        var problem = error.problem
        if !error.received.isEmpty {
            let words = visible(String(decoding: error.received.prefix(200), as: UTF8.self))
            problem.message += " It said: \(words)"
        }
        return problem
    }

    /// What standard error gets: one line, or one for each fault of a configuration.
    static func lines(_ error: any Error, _ problem: Problem) -> [String] {
        guard let faults = error as? ConfigurationFaults, !faults.faults.isEmpty else { return [line(problem)] }
        return faults.faults.map { "farseed: " + visible($0.description) }
    }

    /// A problem in one line.
    static func line(_ problem: Problem) -> String { "farseed: " + visible(problem.message) }
}
