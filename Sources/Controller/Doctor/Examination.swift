/// The walk to a seedbox: every hop to the agent, then the agent, Transmission and the disk.
import Calls
import Notation
import Seedbox

enum Examination {
    private static let patience = Duration.seconds(60)

    /// Opens a session, and enters what is found into `report`; throws the `Problem` of the first hop that fails.
    static func walk(
        _ report: inout DoctorReport,
        _ open: (@escaping @Sendable (LinkStatus) -> Void) async throws -> OwnSession
    ) async throws {
        let trace = HopTrace()
        let session: OwnSession
        do {
            session = try await open { trace.note($0) }
            do {
                try await session.greeted()
            } catch {
                await session.end()
                throw error
            }
        } catch {
            report.reached(trace, arrived: false)
            throw error
        }
        report.reached(trace, arrived: true)
        do {
            try await examine(session.connection, &report)
            await session.end()
        } catch {
            await session.end()
            throw error
        }
    }

    /// The agent, what it may do, Transmission and the disk.
    private static func examine(_ agent: CallConnection, _ report: inout DoctorReport) async throws {
        let overdue = Problem(.timedOut, "The agent greeted, but does not answer. Look at its log on the seedbox.")
        let roundTrip = try await within(patience, orThrow: overdue) { try await agent.ping() }
        report.passed("round trip", "", took: roundTrip)
        let status = try await within(patience, orThrow: overdue) { try await agent.call("status") }
        let role = status["role"]?.string ?? "?"
        report.passed(
            "version",
            "\(visible(status["software"]?.string ?? "?", atMost: 80)), role \(visible(role, atMost: 20))"
        )
        let state = status["transmission"]?["state"]?.string.flatMap(DaemonStatus.State.init) ?? .down
        try Backend.check(DaemonStatus(state, status["transmission"]?["message"]?.string ?? ""))
        let version = visible(status["transmission"]?["version"]?.string ?? "?", atMost: 80)
        report.passed("transmission", state == .busy ? "\(version), busy with its disk" : version)
        let directory = try await agent.call("session.get")["download_dir"]?.string ?? "/"
        let free = try await agent.call("session.free_space", ["path": .string(directory)])["free"]?.int ?? 0
        report.passed("disk", "\(Amounts.bytes(free)) free in \(visible(directory, atMost: 200))")
    }
}
