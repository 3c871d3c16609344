/// The header fields that every response bears, so that a browser holds the page to what it is meant to do.
enum SecurityFields {
    /// The page loads only its own files, talks only to its own server, and is never framed.
    static let contentSecurityPolicy =
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        + "worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        + "require-trusted-types-for 'script'; trusted-types farseed"

    private static let always = [
        ("content-security-policy", contentSecurityPolicy),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-embedder-policy", "require-corp"),
        ("cross-origin-resource-policy", "same-origin"),
        ("permissions-policy", "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ]

    /// A year of TLS only; sent where the server itself speaks TLS.
    private static let transport = ("strict-transport-security", "max-age=31536000")

    static func all(isTLS: Bool) -> [(name: String, value: String)] {
        (isTLS ? always + [transport] : always).map { (name: $0.0, value: $0.1) }
    }
}
