/// Finds what is subscribed or registered under a URI.
struct PatternIndex {
    private var ids: [URIPattern: Int64] = [:]
    /// Those with patterns, in the order of their creation.
    private var prefixes: [(pattern: URIPattern, id: Int64)] = []
    private var wildcards: [(pattern: URIPattern, id: Int64)] = []

    var isEmpty: Bool { ids.isEmpty }

    subscript(pattern: URIPattern) -> Int64? { ids[pattern] }

    mutating func insert(_ pattern: URIPattern, _ id: Int64) {
        precondition(ids.updateValue(id, forKey: pattern) == nil, "a pattern is indexed once")
        switch pattern.match {
        case .exact: break
        case .prefix: prefixes.append((pattern, id))
        case .wildcard: wildcards.append((pattern, id))
        }
    }

    mutating func remove(_ pattern: URIPattern) {
        ids[pattern] = nil
        switch pattern.match {
        case .exact: break
        case .prefix: prefixes.removeAll { $0.pattern == pattern }
        case .wildcard: wildcards.removeAll { $0.pattern == pattern }
        }
    }

    /// All that match, the exact one first.
    func all(_ uri: String) -> [Int64] {
        var found: [Int64] = []
        if let id = ids[URIPattern(uri)] { found.append(id) }
        for entry in prefixes where entry.pattern.matches(uri) { found.append(entry.id) }
        for entry in wildcards where entry.pattern.matches(uri) { found.append(entry.id) }
        return found
    }

    /// The one that a call goes to: the exact one, else the longest prefix, else the wildcard with the longest fixed
    /// portions from the left (advanced profile, "Calls matching multiple registrations").
    func best(_ uri: String) -> Int64? {
        if let id = ids[URIPattern(uri)] { return id }
        let prefix = prefixes.filter { $0.pattern.matches(uri) }
            .max { $0.pattern.uri.utf8.count < $1.pattern.uri.utf8.count }
        if let prefix { return prefix.id }
        return wildcards.filter { $0.pattern.matches(uri) }
            .max { Self.portions($0.pattern).lexicographicallyPrecedes(Self.portions($1.pattern)) }?.id
    }

    /// How many components stand before each wildcard and after the last.
    private static func portions(_ pattern: URIPattern) -> [Int] {
        var portions = [0]
        for component in pattern.uri.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false) {
            if component.isEmpty {
                portions.append(0)
            } else {
                portions[portions.count - 1] += 1
            }
        }
        return portions
    }
}
