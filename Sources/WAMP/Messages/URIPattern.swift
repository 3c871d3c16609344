/// WAMP's names for topics, procedures and errors, and the patterns that match them.

/// How a subscription, registration or permission matches a URI.
package enum Match: String, Sendable, CaseIterable {
    case exact
    /// Every URI that begins with these characters.
    case prefix
    /// Every URI of the same components, where an empty component stands for any.
    case wildcard
}

/// A URI together with how it matches.
package struct URIPattern: Sendable, Hashable {
    package var uri: String
    package var match: Match

    package init(_ uri: String, _ match: Match = .exact) {
        self.uri = uri
        self.match = match
    }

    package func matches(_ concrete: String) -> Bool {
        switch match {
        case .exact: uri == concrete
        case .prefix: concrete.utf8.starts(with: uri.utf8)
        case .wildcard: Self.wildcard(components(uri), covers: components(concrete))
        }
    }

    /// Whether everything that `other` can ever match is matched by this one too; how patterns are authorised.
    package func covers(_ other: URIPattern) -> Bool {
        switch (match, other.match) {
        case (_, .exact): matches(other.uri)
        case (.exact, _): false
        case (.prefix, .prefix): other.uri.utf8.starts(with: uri.utf8)
        case (.prefix, .wildcard): other.fixedStart.starts(with: uri.utf8)
        // A prefix reaches URIs of any number of components.
        case (.wildcard, .prefix): false
        case (.wildcard, .wildcard): Self.wildcard(components(uri), covers: components(other.uri))
        }
    }

    /// The one URI below a prefix that ends with a dot which a wildcard reaches, where it leaves nothing below it open.
    func topic(in family: URIPattern) -> String? {
        guard match == .wildcard, family.match == .prefix, family.uri.utf8.last == UInt8(ascii: ".") else { return nil }
        let fixed = components(family.uri).dropLast()
        let wanted = components(uri)
        let rest = wanted.dropFirst(fixed.count)
        guard !rest.isEmpty, rest.allSatisfy({ !$0.isEmpty }),
            Self.wildcard(Array(wanted.prefix(fixed.count)), covers: Array(fixed))
        else { return nil }
        return family.uri + rest.map { String(Substring($0)) }.joined(separator: ".")
    }

    /// What a wildcard always begins with: all before its first empty component.
    private var fixedStart: Substring.UTF8View {
        let start = components(uri).prefix { !$0.isEmpty }.last?.endIndex ?? uri.utf8.startIndex
        // The dot after the last fixed component is certain, unless the URI ends there.
        let end = start < uri.utf8.endIndex && start > uri.utf8.startIndex ? uri.utf8.index(after: start) : start
        return uri.utf8[..<end]
    }

    private func components(_ uri: String) -> [Substring.UTF8View] {
        uri.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    }

    private static func wildcard(_ pattern: [Substring.UTF8View], covers other: [Substring.UTF8View]) -> Bool {
        pattern.count == other.count
            && zip(pattern, other).allSatisfy { mine, theirs in mine.isEmpty || mine.elementsEqual(theirs) }
    }
}

/// What a URI may look like (basic profile, "URIs").
package enum URIRule: Sendable {
    /// Components without dots, `#` or white space.
    case loose
    /// Components of lower-case letters, digits and `_`.
    case strict

    /// The longest URI taken, in bytes.
    package static let longest = 1_024

    /// Whether the pattern is well formed; only a pattern that is not exact may have empty components.
    package func allows(_ pattern: URIPattern) -> Bool {
        allows(pattern.uri, emptyComponents: pattern.match != .exact)
    }

    package func allows(_ uri: String, emptyComponents: Bool = false) -> Bool {
        guard uri.utf8.count <= Self.longest else { return false }
        guard emptyComponents || !uri.isEmpty else { return false }
        var atStart = true
        for scalar in uri.unicodeScalars {
            if scalar == "." {
                guard emptyComponents || !atStart else { return false }
                atStart = true
                continue
            }
            guard allows(scalar) else { return false }
            atStart = false
        }
        return emptyComponents || !atStart
    }

    private func allows(_ scalar: Unicode.Scalar) -> Bool {
        switch self {
        case .loose: scalar != "#" && !scalar.properties.isWhitespace
        case .strict: ("a"..."z").contains(scalar) || ("0"..."9").contains(scalar) || scalar == "_"
        }
    }
}

extension String {
    /// URIs that begin with the component `wamp` belong to the protocol.
    var isReservedURI: Bool { self == "wamp" || utf8.starts(with: "wamp.".utf8) }
}
