/// Carries a plan out on the seedbox, checks it, and takes it back where the check fails.
import Foundation
import NIOCore
import Notation
import Seedbox
import Tunnel

/// What runs a command on the seedbox.
protocol FarShell: Sendable {
    func run(
        _ command: String,
        input: ByteBuffer,
        mostOutput: Int,
        sent: @escaping @Sendable (Int) -> Void
    ) async throws -> AdminSession.Outcome
}

extension AdminSession: FarShell {}

struct Deployment: Sendable {
    let shell: any FarShell
    let account: FarCommand.Account
    /// Nil to go back to the version before.
    let file: AgentFile?
    /// The base64 of the box's public key.
    let key: String
    /// What the key's line ends with.
    let comment: String
    /// Told how many bytes of how many have gone.
    var copying: @Sendable (Int, Int) -> Void = { _, _ in }
    /// Walks to the new agent with the box's own key.
    let check: @Sendable (inout DoctorReport) async throws -> Void

    private static let mostOutput = 64 << 10

    /// Throws where nothing was begun; what goes wrong later is in the report, and undone.
    func run(isDry: Bool, into report: inout DeployReport) async throws {
        let survey = try await survey()
        try survey.check(for: file)
        let plan = try plan(survey)
        report.planned(plan, isDry: isDry)
        if isDry { return }
        var done = Done(keys: survey.keys)
        do {
            try await carryOut(plan, survey, &done, &report)
        } catch {
            report.problem = Failure.problem(error) ?? Problem(.internalFault, "The installation has failed: \(error).")
            if report.problem?.isTheDaemons != true { await undo(done, survey, &report) }
        }
        // What is left over costs space and nothing else.
        if report.problem == nil, !plan.isEmpty { _ = try? await far(.prune(plan.label, plan.previous)) }
    }

    // MARK: Forth

    private func survey() async throws -> FarSurvey {
        let outcome = try await shell.run(
            FarCommand.survey(file?.label).text(as: account),
            input: ByteBuffer(),
            mostOutput: AuthorizedKeys.largest + Self.mostOutput,
            sent: { _ in }
        )
        guard outcome.status == 0 else {
            throw Problem(
                .notPermitted,
                "The administrator's key starts no shell on the seedbox for this account.\(Self.said(outcome)) Give "
                    + "another with --key, or another user."
            )
        }
        return try FarSurvey(outcome.output)
    }

    private func plan(_ survey: FarSurvey) throws -> DeployPlan {
        if let file { return DeployPlan(installing: file, on: survey, key: key) }
        guard let plan = DeployPlan(rollingBack: survey) else {
            throw Problem(.notFound, "There is no earlier version on the seedbox to go back to.")
        }
        return plan
    }

    /// What has been changed so far, to be taken back.
    private struct Done {
        /// As they stand now.
        var keys: FarSurvey.Keys
        var isSwitched = false
    }

    private func carryOut(
        _ plan: DeployPlan,
        _ survey: FarSurvey,
        _ done: inout Done,
        _ report: inout DeployReport
    ) async throws {
        if plan.copies, let file {
            let size = file.bytes.count
            let command = try FarCommand.copy(plan.label, digest: file.digest, size: size, version: Farseed.version)
            _ = try await far(command, ByteBuffer(bytes: file.bytes)) { [copying] in copying($0, size) }
            report.passed(.copy)
        }
        if plan.switches {
            // Also one whose answer is lost may have happened.
            done.isSwitched = true
            _ = try await far(.switchTo(plan.label, previous: plan.previous))
            report.passed(.switch)
        }
        if plan.authorizes {
            try await authorize(plan, survey, &done)
            report.passed(.authorize)
        }
        do {
            try await check(&report.check)
        } catch {
            if let problem = Failure.problem(error) { report.check.failed(problem) }
            throw error
        }
    }

    private func authorize(_ plan: DeployPlan, _ survey: FarSurvey, _ done: inout Done) async throws {
        var before: [UInt8]?
        if case .file(let bytes) = survey.keys { before = bytes }
        let keys = AuthorizedKeys(before ?? [])
        let configuration = keys.line(of: key).flatMap { GateLine.configuration(in: $0) }
        let command = try FarCommand.line(plan.label, key: key, comment: comment, configuration: configuration)
        let line = String(decoding: try await far(command).output, as: UTF8.self).trimmingCharacters(in: .newlines)
        guard GateLine.isSound(line, key: key, program: survey.program) else {
            throw Problem(
                .agentUnexpected,
                "The new agent makes another line for authorized_keys than was asked for. Nothing was written there."
            )
        }
        let after = keys.setting(line, of: key).bytes
        done.keys = .file(after)
        try await write(after, over: before)
    }

    private func write(_ keys: [UInt8], over before: [UInt8]?) async throws {
        let command = try FarCommand.writeKeys(
            over: before.map { AgentFile.digest($0) },
            digest: AgentFile.digest(keys),
            size: keys.count
        )
        _ = try await far(command, ByteBuffer(bytes: keys))
    }

    // MARK: Back

    /// In a task of its own, so that it is carried out also for a command that was cancelled.
    private func undo(_ done: Done, _ survey: FarSurvey, _ report: inout DeployReport) async {
        guard done.isSwitched || done.keys != survey.keys else { return }
        let undoing = Task {
            if done.keys != survey.keys, case .file(let written) = done.keys {
                do {
                    if case .file(let before) = survey.keys {
                        try await write(before, over: written)
                    } else {
                        _ = try await far(.dropKeys(AgentFile.digest(written)))
                    }
                } catch let problem as Problem where problem.code == .conflict {
                    // They never were replaced, or somebody else has changed them: theirs stand.
                }
            }
            if done.isSwitched { _ = try await far(.switchTo(survey.current, previous: survey.previous)) }
        }
        do {
            try await undoing.value
            report.rolledBack(to: survey.current)
        } catch {
            report.stuck("\(Failure.problem(error)?.message ?? "\(error)")")
        }
    }

    // MARK: Running

    private func far(
        _ command: FarCommand,
        _ input: ByteBuffer = ByteBuffer(),
        sent: @escaping @Sendable (Int) -> Void = { _ in }
    ) async throws -> AdminSession.Outcome {
        let outcome = try await shell.run(
            command.text(as: account),
            input: input,
            mostOutput: Self.mostOutput,
            sent: sent
        )
        switch outcome.status {
        case 0: return outcome
        case FarCommand.Status.cutShort:
            throw Problem(.connectionLost, "Not all bytes have arrived on the seedbox. Check its disk, and try again.")
        case FarCommand.Status.damaged:
            throw Problem(.refused, "The bytes on the seedbox are not those that were sent. Check its disk.")
        case FarCommand.Status.otherVersion:
            throw Problem(
                .agentIncompatible,
                "The agent's file is not farseed-agent \(Farseed.version), or does not run on the seedbox."
                    + "\(Self.said(outcome)) Build it from the same source as this program."
            )
        case FarCommand.Status.changedMeanwhile:
            throw Problem(.conflict, "Somebody else has changed authorized_keys meanwhile. Theirs stand; try again.")
        default:
            throw Problem(.refused, "The seedbox could not do a step of the installation.\(Self.said(outcome))")
        }
    }

    private static func said(_ outcome: AdminSession.Outcome) -> String {
        let words = visible(
            String(decoding: outcome.errors, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines),
            atMost: 300
        )
        return words.isEmpty ? "" : " It says: \(words.hasSuffix(".") ? words : words + ".")"
    }
}

extension Problem {
    /// True for what the agent has told of Transmission: it serves, and another version would say the same.
    fileprivate var isTheDaemons: Bool {
        switch code {
        case .transmissionDown, .transmissionBusy, .transmissionUnauthorized, .transmissionRefused: true
        default: false
        }
    }
}
