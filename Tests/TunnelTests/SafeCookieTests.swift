// The proofs of SAFECOOKIE, against values computed by Python's hmac.
import Testing

@testable import Tunnel

@Suite struct SafeCookieTests {
    private let cookie = SafeCookie(cookie: Array(0..<32), nonce: Array("0123456789abcdef0123456789abcdef".utf8))
    private static let hash = "36ddf0817140c389f81dcda6e118e6ee06cc100b42929b280cf03397144caad8"
    private static let nonce = "6465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f80818283"
    private static let zero = String(repeating: "0", count: 64)

    @Test("The nonce is sent, never the cookie")
    func challenge() {
        let digits = "3031323334353637383961626364656630313233343536373839616263646566"
        #expect(cookie.challenge == "AUTHCHALLENGE SAFECOOKIE \(digits)")
    }

    @Test("Whoever proves that he knows the cookie gets our proof")
    func proof() {
        let proof = "7ff5ba68dc91ff750fe11597b5cec685ab0978385a1f48a78a2af6d223031406"
        #expect(
            cookie.proof(after: "AUTHCHALLENGE SERVERHASH=\(Self.hash.uppercased()) SERVERNONCE=\(Self.nonce)") == proof
        )
    }

    @Test(
        "Nobody else does",
        arguments: [
            "", "AUTHCHALLENGE SERVERHASH= SERVERNONCE=", "AUTHCHALLENGE SERVERHASH=zz SERVERNONCE=00",
            "AUTHCHALLENGE SERVERHASH=\(hash)", "AUTHCHALLENGE SERVERHASH=\(hash) SERVERNONCE=00",
            "AUTHCHALLENGE SERVERHASH=\(zero) SERVERNONCE=\(nonce)",
            "AUTHCHALLENGE SERVERHASH=\(hash)00 SERVERNONCE=\(nonce)",
            "AUTHCHALLENGE SERVERHASH=\(hash) SERVERNONCE=\(zero)",
        ]
    )
    func wrong(answer: String) {
        #expect(cookie.proof(after: answer) == nil)
    }
}
