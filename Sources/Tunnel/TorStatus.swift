/// What is known of tor at one moment, and what is to be said of it.
package import Seedbox

extension Tor {
    package struct Status: Sendable, Hashable {
        /// Nil where tor has no control port, or it does not answer: then only trying shows how it is.
        package var news: TorNews?
        /// Why tor does not run, or cannot be asked; the links are tried all the same where it was given.
        package var problem: Problem?
        /// True while an own tor does not run yet: there is nothing to connect to.
        package var isStarting = false
        /// What the own tor's program says that it is.
        package var programVersion: String?

        package init(
            news: TorNews? = nil,
            problem: Problem? = nil,
            isStarting: Bool = false,
            programVersion: String? = nil
        ) {
            self.news = news
            self.problem = problem
            self.isStarting = isStarting
            self.programVersion = programVersion
        }

        /// False where trying is known to be of no use yet.
        package var isUsable: Bool { !isStarting && (news.map { $0.bootstrap >= 100 } ?? true) }

        /// True where an own tor has ended or did not start, and waiting is of use only to those who have time.
        package var hasFailed: Bool { isStarting && problem.map { $0.code != .torNotReady } ?? false }

        package var version: String? { programVersion ?? news?.version }
    }
}

extension Tor.Status {
    /// What should be mended, each with what to do.
    package var warnings: [LinkStatus.Warning] {
        var warnings: [LinkStatus.Warning] = []
        if let version, !TorVersion.isRecent(version) {
            warnings.append(
                .init(
                    .torOutdated,
                    "This tor is \(version). Update it to \(TorVersion.wanted) or later, which mends faults that break "
                        + "long-lived streams."
                )
            )
        }
        if let skew = news?.clockSkew { warnings.append(.init(.clockSkew, Self.sentence(ofSkew: skew))) }
        if !isStarting, news == nil, let problem {
            warnings.append(.init(.torControl, "Nothing is known of tor's circuits and bootstrap. \(problem.message)"))
        }
        return warnings
    }

    /// Why tor cannot go on; being on its way is no problem.
    package var bootstrapProblem: Problem? {
        guard let news, news.bootstrap < 100, let warning = news.warning else { return nil }
        let reason = news.reason.map { " (\(Self.plain($0)))" } ?? ""
        var text = "Tor cannot go on at \(news.bootstrap) %: \(Self.plain(warning))\(reason)."
        if let skew = news.clockSkew { text += " \(Self.sentence(ofSkew: skew))" }
        return Problem(.torNotReady, text + " Check the network, or whether Tor is blocked here and needs a bridge.")
    }

    private static func sentence(ofSkew skew: Int) -> String {
        let seconds = skew.magnitude
        let amount =
            switch seconds {
            case ..<120: "\(seconds) s"
            case ..<7_200: "\(seconds / 60) min"
            case ..<172_800: "\(seconds / 3_600) h"
            default: "\(seconds / 86_400) days"
            }
        let side = skew < 0 ? "behind" : "ahead"
        return "Tor says that this machine's clock is \(amount) \(side): set it, or tor may find no way."
    }

    /// Tor's own words, which may hold what a relay sent.
    static func plain(_ text: String) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.filter { (0x20..<0x7F).contains($0.value) }.prefix(120)))
    }
}
