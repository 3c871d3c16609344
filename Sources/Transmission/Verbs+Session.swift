/// The verbs of the whole session.

import Notation
import Seedbox

extension Verbs {
    func sessionGet(_ arguments: inout VerbArguments) async throws -> Value {
        try arguments.finish()
        return .map(try SessionFigures(session: try await client.call("session-get"), statistics: nil).values)
    }

    func statistics(_ arguments: inout VerbArguments) async throws -> Value {
        try arguments.finish()
        let answer = try await client.call("session-stats")
        var map: [String: Value] = [:]
        for (name, value) in answer.map ?? [:] {
            guard let counts = value.map else {
                map[RPCDialect.snake(name)] = value
                continue
            }
            let named = counts.map { (RPCDialect.snake($0.key), $0.value) }
            map[RPCDialect.snake(name)] = .map(Dictionary(named) { first, _ in first })
        }
        return .map(map)
    }

    /// Settings by their names in `session` events; speed limits in bytes per second.
    func sessionSet(_ arguments: inout VerbArguments) async throws -> Value {
        var request: [String: Value] = [:]
        var expected: [String: Value] = [:]
        for name in Self.truths {
            guard let truth = try arguments.bool(RPCDialect.snake(name)) else { continue }
            request[name] = .bool(truth)
            expected[RPCDialect.snake(name)] = .bool(truth)
        }
        for (name, range) in Self.numbers {
            guard let number = try arguments.int(RPCDialect.snake(name), range) else { continue }
            request[name] = .int(number)
            expected[RPCDialect.snake(name)] = .int(number)
        }
        for name in Self.speeds {
            guard let limit = try arguments.int(RPCDialect.snake(name), 0...1 << 40) else { continue }
            request[name] = .int((limit + 999) / 1000)
            expected[RPCDialect.snake(name)] = .int((limit + 999) / 1000 * 1000)
        }
        for name in Self.directories {
            guard let path = try arguments.path(RPCDialect.snake(name)) else { continue }
            request[name] = .string(path)
            expected[RPCDialect.snake(name)] = .string(path)
        }
        if let ratio = try arguments.double("seed_ratio_limit", 0...1e9) {
            request["seedRatioLimit"] = .double(ratio)
            expected["seed_ratio_limit"] = .double(ratio)
        }
        if let encryption = try arguments.text("encryption") {
            guard ["required", "preferred", "tolerated"].contains(encryption) else {
                throw Problem(.badRequest, "`encryption` must be required, preferred or tolerated.")
            }
            request["encryption"] = .string(encryption)
            expected["encryption"] = .string(encryption)
        }
        try arguments.finish()
        guard !request.isEmpty else { throw Problem(.badRequest, "Say what to set.") }
        _ = try await client.call("session-set", request)
        var wrong: String?
        let figures = try await polled {
            try SessionFigures(session: try await client.call("session-get"), statistics: nil)
        } until: { figures in
            wrong = expected.keys.sorted().first { name in
                !Self.isEqual(figures.values[name] ?? .null, expected[name] ?? .null)
            }
            return wrong == nil
        }
        guard let figures else {
            throw Problem(
                .transmissionRefused,
                "Transmission took the command, but `\(wrong ?? "")` has another value."
            )
        }
        return .map(figures.values)
    }

    /// Nothing here makes the daemon start a program or opens its RPC to others.
    private static let truths = [
        "speed-limit-down-enabled", "speed-limit-up-enabled", "alt-speed-enabled", "alt-speed-time-enabled",
        "download-queue-enabled", "seed-queue-enabled", "queue-stalled-enabled", "seedRatioLimited",
        "idle-seeding-limit-enabled", "incomplete-dir-enabled", "rename-partial-files", "start-added-torrents",
        "dht-enabled", "lpd-enabled", "pex-enabled", "utp-enabled", "port-forwarding-enabled", "blocklist-enabled",
    ]

    private static let numbers: [(String, ClosedRange<Int64>)] = [
        ("alt-speed-time-begin", 0...1439), ("alt-speed-time-end", 0...1439), ("alt-speed-time-day", 0...127),
        ("download-queue-size", 1...100_000), ("seed-queue-size", 1...100_000), ("queue-stalled-minutes", 1...100_000),
        ("idle-seeding-limit", 1...65_535), ("peer-limit-global", 1...65_535), ("peer-limit-per-torrent", 1...65_535),
        ("peer-port", 1...65_535), ("cache-size-mb", 0...65_536),
    ]

    private static let speeds = ["speed-limit-down", "speed-limit-up", "alt-speed-down", "alt-speed-up"]
    private static let directories = ["download-dir", "incomplete-dir"]

    /// All that `session.set` takes.
    package static let settings: Set<String> = Set(
        (truths + numbers.map(\.0) + speeds + directories + ["seedRatioLimit", "encryption"]).map(RPCDialect.snake)
    )

    /// `path`: `{path, free}`.
    func freeSpace(_ arguments: inout VerbArguments) async throws -> Value {
        guard let path = try arguments.path("path") else {
            throw Problem(.badRequest, "`path` must be an absolute path.")
        }
        try arguments.finish()
        let free: Int64?
        do {
            free = try await client.call("free-space", ["path": .string(path)]).named("size-bytes")?.int
        } catch let error where error.code == .refused {
            // 3.00 refuses a path that 4.1 answers with -1.
            free = nil
        }
        guard let free, free >= 0 else {
            throw Problem(.notFound, "Transmission cannot look at that path: it does not exist, or it may not.")
        }
        return ["path": .string(path), "free": .int(free)]
    }

    func portTest(_ arguments: inout VerbArguments) async throws -> Value {
        try arguments.finish()
        let answer = try await client.call("port-test")
        guard let isOpen = answer.named("port-is-open")?.bool else {
            throw Problem(.transmissionRefused, "Transmission does not say whether its port is open.")
        }
        return ["open": .bool(isOpen)]
    }

    func blocklistUpdate(_ arguments: inout VerbArguments) async throws -> Value {
        try arguments.finish()
        let answer = try await client.call("blocklist-update")
        let size = answer.named("blocklist-size")?.int
        let session = try await polled {
            try await client.call("session-get")
        } until: {
            size != nil && $0.named("blocklist-size")?.int == size
        }
        guard let size, session != nil else {
            throw Problem(.transmissionRefused, "Transmission took the command, but its blocklist is as it was.")
        }
        return ["size": .int(size)]
    }
}
