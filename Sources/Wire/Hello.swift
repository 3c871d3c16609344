package import Notation

/// What each side says of itself before anything else.
package struct Hello: Sendable, Hashable {
    /// The protocol versions that this build speaks.
    package static let spokenVersions = 1...1
    /// Bytes; a legal event fits in whatever is left of it.
    package static let defaultCredit = 262_144
    /// What a peer may name as its credit. Less would make a round trip of every frame, more is no bound any more.
    package static let creditBounds = 1_024...16_777_216
    /// The most of a peer's capabilities, and the most bytes of one or of its software's name.
    package static let maximumCapabilities = 64
    package static let maximumText = 256

    /// Lowest and highest protocol version spoken.
    package var versions: ClosedRange<Int>
    /// Such as `farseed-agent 0.1.0`.
    package var software: String
    package var capabilities: Set<String>
    /// What the caller may do, by the callee: `control`, `read` or `bulk`.
    package var role: String?
    /// Bytes of event and data frames that the peer may send per call before it needs more credit.
    package var credit: Int
    /// The caller's epoch, where it is a controller.
    package var epoch: Int64?

    package init(
        software: String,
        capabilities: Set<String> = [],
        role: String? = nil,
        credit: Int = Hello.defaultCredit,
        epoch: Int64? = nil,
        versions: ClosedRange<Int> = Hello.spokenVersions
    ) {
        self.versions = versions
        self.software = software
        self.capabilities = capabilities
        self.role = role
        self.credit = credit
        self.epoch = epoch
    }

    /// The highest version that both speak; nil where there is none.
    package func version(with peer: Hello) -> Int? {
        let highest = min(versions.upperBound, peer.versions.upperBound)
        return highest >= max(versions.lowerBound, peer.versions.lowerBound) ? highest : nil
    }
}

extension Hello {
    package var value: Value {
        var map: [String: Value] = [
            "versions": [.int(Int64(versions.lowerBound)), .int(Int64(versions.upperBound))],
            "software": .string(software),
            "capabilities": .array(capabilities.sorted().map { .string($0) }),
            "credit": .int(Int64(credit)),
        ]
        if let role { map["role"] = .string(role) }
        if let epoch { map["epoch"] = .int(epoch) }
        return .map(map)
    }

    /// Only `versions` is required, so that a peer of any version can be told from no peer. Unknown keys are ignored.
    package init(_ value: Value) throws(WireError) {
        guard let map = value.map else { throw Self.malformed("is not a map") }
        guard let versions = map["versions"]?.array, versions.count == 2,
            let lowest = versions[0].int, let highest = versions[1].int,
            (1...65_535).contains(lowest), (lowest...65_535).contains(highest)
        else { throw Self.malformed("has no `versions` of the form [lowest, highest]") }
        self.init(software: "", versions: Int(lowest)...Int(highest))

        if let software = map["software"] {
            guard let text = software.string, text.utf8.count <= Self.maximumText else {
                throw Self.malformed("has a `software` that is not a short text")
            }
            self.software = text
        }
        if let capabilities = map["capabilities"] {
            guard let array = capabilities.array, array.count <= Self.maximumCapabilities else {
                throw Self.malformed("has `capabilities` that are not a short array")
            }
            for element in array {
                guard let text = element.string, text.utf8.count <= Self.maximumText else {
                    throw Self.malformed("has a capability that is not a short text")
                }
                self.capabilities.insert(text)
            }
        }
        if let role = map["role"], !role.isNull {
            guard let text = role.string, text.utf8.count <= Self.maximumText else {
                throw Self.malformed("has a `role` that is not a short text")
            }
            self.role = text
        }
        if let credit = map["credit"] {
            guard let number = credit.int, let credit = Int(exactly: number), Self.creditBounds.contains(credit) else {
                throw Self.malformed("has a `credit` outside \(Self.creditBounds)")
            }
            self.credit = credit
        }
        if let epoch = map["epoch"], !epoch.isNull {
            guard let number = epoch.int, number >= 0 else {
                throw Self.malformed("has an `epoch` that is not a whole number from 0")
            }
            self.epoch = number
        }
    }

    private static func malformed(_ what: String) -> WireError { WireError(.malformed, "The peer's hello \(what).") }
}
