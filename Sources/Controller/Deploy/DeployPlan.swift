/// What there is to do on the seedbox; pure.
import Foundation

struct DeployPlan: Sendable, Equatable {
    /// The version that shall serve.
    var label: DeployLabel
    /// The version that served before; nil where none did.
    var before: DeployLabel?
    var copies: Bool
    var switches: Bool
    var authorizes: Bool

    var isEmpty: Bool { !copies && !switches && !authorizes }

    /// What `previous` points to afterwards: the version that a rollback goes to.
    var previous: DeployLabel?

    /// To put this file to work.
    init(installing file: AgentFile, on survey: FarSurvey, key: String) {
        label = file.label
        before = survey.current
        copies = survey.digest != file.digest
        switches = survey.current != file.label
        previous = switches ? survey.current : survey.previous
        authorizes = !Self.isBound(survey, key: key)
    }

    /// To go back to the version before; nil where there is none.
    init?(rollingBack survey: FarSurvey) {
        guard let previous = survey.previous, previous != survey.current else { return nil }
        label = previous
        before = survey.current
        copies = false
        switches = true
        self.previous = survey.current
        authorizes = false
    }

    private static func isBound(_ survey: FarSurvey, key: String) -> Bool {
        guard case .file(let bytes) = survey.keys, let line = AuthorizedKeys(bytes).line(of: key) else { return false }
        return GateLine.isSound(line.trimmingCharacters(in: .newlines), key: key, program: survey.program)
    }
}
