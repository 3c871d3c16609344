/// Changing a torrent's settings.

import Notation
import Seedbox

extension Verbs {
    /// `hashes` and at least one of: `labels`, `priority` (-1…1), `wanted`, `unwanted`, `high`, `normal`, `low` (file
    /// numbers), `down_limit`, `up_limit` (bytes per second, null for none), `session_limits`, `ratio_mode` (0…2),
    /// `ratio_limit`, `idle_mode` (0…2), `idle_limit` (minutes), `peer_limit`, `trackers_add`, `trackers_remove` (announce
    /// addresses).
    func set(_ arguments: inout VerbArguments) async throws -> Value {
        let hashes = try arguments.hashes()
        var request: [String: Value] = [:]
        var expected: [Field: Value] = [:]
        if let labels = try arguments.texts("labels", mayBeEmpty: true) {
            request["labels"] = .array(labels.map { .string($0) })
            expected[.labels] = request["labels"]
        }
        for (name, key, field, range) in Self.numbers {
            guard let number = try arguments.int(name, range) else { continue }
            request[key] = .int(number)
            expected[field] = .int(number)
        }
        let files = try FileWishes(&arguments, &request)
        try Self.takeLimits(&arguments, &request, &expected)
        if let honours = try arguments.bool("session_limits") {
            request["honorsSessionLimits"] = .bool(honours)
            expected[.sessionLimits] = .bool(honours)
        }
        if let ratio = try arguments.double("ratio_limit", 0...1e9) {
            request["seedRatioLimit"] = .double(ratio)
            expected[.ratioLimit] = .double(ratio)
        }
        let added = try arguments.texts("trackers_add", mayBeEmpty: false)
        let removed = try arguments.texts("trackers_remove", mayBeEmpty: false)
        try arguments.finish()
        guard !request.isEmpty || added != nil || removed != nil else {
            throw Problem(.badRequest, "Say what to set.")
        }
        _ = try await known(hashes, .cold)
        if !request.isEmpty {
            _ = try await client.call("torrent-set", request.merging(["ids": Self.ids(hashes)]) { old, _ in old })
        }
        for hash in hashes {
            if let added { try await addTrackers(added, to: hash) }
            if let removed { try await removeTrackers(removed, from: hash) }
        }
        let torrents = try await confirmed(hashes) { torrent in
            expected.allSatisfy { field, value in Self.isEqual(torrent[field], value) }
        }
        guard let torrents else { throw unconfirmed("a setting has another value") }
        guard try await shows(files, hashes) else { throw unconfirmed("a file is not wanted as it should be") }
        return reply(torrents)
    }

    private static let numbers: [(String, String, Field, ClosedRange<Int64>)] = [
        ("priority", "bandwidthPriority", .priority, -1...1),
        ("ratio_mode", "seedRatioMode", .ratioMode, 0...2),
        ("idle_mode", "seedIdleMode", .idleMode, 0...2),
        ("idle_limit", "seedIdleLimit", .idleLimit, 1...65_535),
        ("peer_limit", "peer-limit", .peerLimit, 1...65_535),
    ]

    /// 4.x drops repeated labels and keeps no order of them; 3.00 writes some of their characters wrongly. Ratios have few
    /// decimals.
    static func isEqual(_ found: Value, _ asked: Value) -> Bool {
        if case .double(let asked) = asked, let found = found.double {
            return abs(found - asked) <= max(0.002, asked / 1e6)
        }
        guard let found = found.array, let asked = asked.array else { return found == asked }
        let wrecks = asked.map { $0.string.map { .string(NameRepair.wreck(of: $0)) } ?? $0 }
        return Set(found) == Set(asked) || Set(found) == Set(wrecks)
    }

    private func addTrackers(_ addresses: [String], to hash: InfoHash) async throws {
        let present = Set(try await announces(of: hash).map(\.address))
        let missing = addresses.filter { !present.contains($0) }
        guard !missing.isEmpty else { return }
        _ = try await client.call(
            "torrent-set",
            ["ids": Self.ids([hash]), "trackerAdd": .array(missing.map { .string($0) })]
        )
        guard Set(try await announces(of: hash).map(\.address)).isSuperset(of: missing) else {
            throw Problem(.transmissionRefused, "Transmission does not take one of these announce addresses.")
        }
    }

    private func removeTrackers(_ addresses: [String], from hash: InfoHash) async throws {
        let ids = try await announces(of: hash).filter { addresses.contains($0.address) }.map(\.id)
        guard !ids.isEmpty else { return }
        _ = try await client.call(
            "torrent-set",
            ["ids": Self.ids([hash]), "trackerRemove": .array(ids.map { .int($0) })]
        )
        guard try await announces(of: hash).allSatisfy({ !addresses.contains($0.address) }) else {
            throw Problem(.transmissionRefused, "Transmission keeps one of these announce addresses.")
        }
    }

    private func announces(of hash: InfoHash) async throws -> [(id: Int64, address: String)] {
        let answer = try await client.call(
            "torrent-get",
            ["ids": Self.ids([hash]), "fields": ["hashString", "trackers"]]
        )
        let trackers = answer["torrents"]?.array?.first?["trackers"]?.array ?? []
        return trackers.compactMap { tracker in
            guard let id = tracker["id"]?.int, let address = tracker["announce"]?.string else { return nil }
            return (id, address)
        }
    }
}
