/// Who watches one Transmission over which connection, and whether anybody looks.

/// A pure machine. A connection's watchers are taken to look until it says otherwise: a controller that knows nothing of it
/// gets what it always got.
package struct WatchAudience: Sendable {
    private var watchers: [Int: Int] = [:]
    private var resting: Set<Int> = []
    private var lastConnection = 0
    private var lastWatcher = 0

    package init() {}

    package mutating func connected() -> Int {
        lastConnection += 1
        return lastConnection
    }

    package mutating func disconnected(_ connection: Int) {
        resting.remove(connection)
        watchers = watchers.filter { $0.value != connection }
    }

    /// - Parameter connection: nil for one of our own, who always looks.
    package mutating func joined(on connection: Int?) -> Int {
        lastWatcher += 1
        watchers[lastWatcher] = connection ?? 0
        return lastWatcher
    }

    package mutating func left(_ watcher: Int) { watchers[watcher] = nil }

    package mutating func said(_ isLooking: Bool, on connection: Int) {
        if isLooking { resting.remove(connection) } else { resting.insert(connection) }
    }

    package var isLooking: Bool { watchers.values.contains { !resting.contains($0) } }
}
