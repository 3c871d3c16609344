// A `Problem` as those who call over WAMP get it.
import Seedbox
import Web

extension RealmError {
    /// Runs `body`; its problem goes to the caller with code and sentence.
    static func telling<Answer>(_ body: () async throws -> Answer) async throws -> Answer {
        do {
            return try await body()
        } catch let problem as Problem {
            throw RealmError(code: problem.code.rawValue, message: problem.message)
        }
    }
}
