/// The addresses that the daemon will listen on: no two alike, and none of them taken.
import Seedbox

/// An address to listen on and the key that gives it.
struct Door {
    var section: Section
    var key: String
    var host: String
    /// 0 lets the system choose.
    var port: Int

    func meets(_ other: Door) -> Bool {
        let everywhere = ["0.0.0.0", "::"]
        return port != 0 && port == other.port
            && (host == other.host || everywhere.contains(host) || everywhere.contains(other.host))
    }
}

extension ConfigurationReader {
    mutating func check(_ doors: [Door], of configuration: Configuration) {
        var readiness = surroundings.readiness
        if readiness?.isServed(configuration.controlSocket) == true { readiness = nil }
        for (number, door) in doors.enumerated() {
            if let other = doors[..<number].first(where: door.meets) {
                let name = other.section.path.joined(separator: ".")
                fault(door.section, door.key, "`\(other.key)` of [\(name)] has this address: choose another port.")
            } else if door.port != 0, let problem = readiness?.listening(door.host, door.port) {
                fault(door.section, door.key, problem.message, code: problem.code)
            }
        }
    }
}
