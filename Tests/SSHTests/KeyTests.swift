import Testing

@testable import SSH

struct KeyTests {
    static let publicText = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPc1tBQPBLqc2wTK1ps+tESKV5fx6xD375jOCUjwFTY6"

    /// The envelope of a key file around a public key, with nothing inside that could log in anywhere.
    static var privateText: String { envelope() }

    static func envelope(cipher: String = "none", count: UInt8 = 1, blob: [UInt8]? = nil) -> String {
        func string(_ bytes: [UInt8]) -> [UInt8] { [0, 0, UInt8(bytes.count / 256), UInt8(bytes.count % 256)] + bytes }
        let bytes =
            Array("openssh-key-v1".utf8) + [0] + string(Array(cipher.utf8)) + string(Array("none".utf8)) + string([])
            + [0, 0, 0, count] + string(blob ?? HostKey(publicText)!.blob) + string([1, 2, 3])
        return "-----BEGIN OPENSSH PRIVATE KEY-----\n\(Base64.encode(bytes))\n-----END OPENSSH PRIVATE KEY-----\n"
    }

    @Test func `A host key line is read with comment, without, and with a host before it`() throws {
        let key = try #require(HostKey(Self.publicText + " a  comment here\n"))
        #expect(key.comment == "a comment here")
        #expect(key == HostKey(Self.publicText))
        #expect(key == HostKey("[abc.onion]:22 " + Self.publicText))
        #expect(key.text == Self.publicText)
        #expect(key.fingerprint == "SHA256:C0RoiLU/1SEmMIMZ72iiE386Qa7qug+FzRNEDmrWJtE")
    }

    @Test(arguments: [
        "", "ssh-ed25519", "ssh-ed25519 !!!!", "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQ==",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPc1tBQPBLqc2wTK1ps+tESKV5fx6xD375jOCUjwFTY",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPc1tBQPBLqc2wTK1ps+tESKV5fx6xD375jOCUjwFTY6AAAA",
        "a b ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPc1tBQPBLqc2wTK1ps+tESKV5fx6xD375jOCUjwFTY6",
    ])
    func `Other lines are no host keys`(line: String) { #expect(HostKey(line) == nil) }

    @Test func `A private key's public half is read from its envelope`() throws {
        let key = try PrivateKey(Array(Self.privateText.utf8))
        #expect(key.publicKey == HostKey(Self.publicText))
        #expect(!"\(key)".contains("BEGIN"))
    }

    @Test func `An encrypted key wants a passphrase`() throws {
        let text = Array(Self.envelope(cipher: "aes256-ctr").utf8)
        #expect(throws: SSHError.self) { try PrivateKey(text) }
        #expect(try PrivateKey(text, passphrase: "x").publicKey == HostKey(Self.publicText))
    }

    @Test func `A key file cut anywhere or of another kind is refused, not read past its end`() {
        let text = Array(Self.privateText.utf8)
        for length in 0..<text.count - 1 {
            let error = #expect(throws: SSHError.self) { try PrivateKey(Array(text[..<length])) }
            #expect(error?.code == .keyInvalid)
        }
        for text in [Self.envelope(count: 2), Self.envelope(blob: [0, 0, 0, 7] + Array("ssh-rsa".utf8))] {
            #expect(throws: SSHError.self) { try PrivateKey(Array(text.utf8)) }
        }
    }

    @Test(arguments: [("1.10.0", true), ("1.11.0", true), ("1.11.2", true), ("1.11.1", false), ("1.9.0", false)])
    func `Only usable versions of libssh2 are taken`(version: String, isUsable: Bool) {
        #expect(((try? SSHLibrary.check(version)) != nil) == isUsable)
    }

    @Test func `SHA-256 gives the standard's values`() {
        func hex(_ text: String) -> String {
            SHA256.hash(Array(text.utf8)).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        }
        #expect(hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        #expect(hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        let long = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"
        #expect(hex(long) == "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1")
    }

    @Test func `Base64 there and back`() {
        for length in 0..<70 {
            let bytes = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ length) }
            #expect(Base64.decode(Base64.encode(bytes).utf8) == bytes)
            #expect(Base64.decode(Base64.encode(bytes, padded: false).utf8) == bytes)
        }
        for text in ["A", "AB=", "A===", "AB", "A B=", "=AAA"] {
            #expect(Base64.decode(text.utf8) == nil)
        }
    }

    @Test func `A peer's words are made one harmless line`() {
        #expect(neutralised("a\u{1B}[2Jb\r\nc\u{202E}d".utf8) == "a [2Jb c\u{FFFD}d")
        #expect(neutralised(Array(repeating: 0x61, count: 5_000)).count == 200)
    }
}
