/// The certificate and key that new connections use, read from files and replaced while the server runs.
import NIOSSL
import Synchronization

final class TLSFiles: Sendable {
    private let files: WebConfiguration.TLS
    private let current: Mutex<NIOSSLContext>

    init(_ files: WebConfiguration.TLS) throws {
        self.files = files
        current = Mutex(try Self.load(files))
    }

    var context: NIOSSLContext { current.withLock { $0 } }

    /// Reads the files again; on a fault the old certificate stays in use.
    func reload() throws {
        let context = try Self.load(files)
        current.withLock { $0 = context }
    }

    private static func load(_ files: WebConfiguration.TLS) throws -> NIOSSLContext {
        let context = files.context
        if let context = context.made { return context }
        throw WebError(
            .certificateInvalid,
            "The certificate cannot be used: "
                + [context.faults.ofCertificate, context.faults.ofKey].compactMap(\.self).joined(separator: " ")
        )
    }
}

extension WebConfiguration.TLS {
    /// What keeps each file from being used, as the rest of a sentence.
    package struct Faults: Sendable, Equatable {
        package var ofCertificate: String?
        package var ofKey: String?

        package init(ofCertificate: String? = nil, ofKey: String? = nil) {
            self.ofCertificate = ofCertificate
            self.ofKey = ofKey
        }
    }

    package var faults: Faults { context.faults }

    fileprivate var context: (made: NIOSSLContext?, faults: Faults) {
        var faults = Faults()
        let chain = (try? NIOSSLCertificate.fromPEMFile(certificateFile)) ?? []
        if chain.isEmpty {
            faults.ofCertificate =
                "\(certificateFile) holds no certificate that can be read: give a PEM file."
        }
        let key = try? NIOSSLPrivateKey(file: keyFile, format: .pem)
        if key == nil {
            faults.ofKey = "\(keyFile) holds no private key that can be read: give a PEM file without a passphrase."
        }
        guard let key, !chain.isEmpty else { return (nil, faults) }
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) },
            privateKey: .privateKey(key)
        )
        configuration.minimumTLSVersion = .tlsv12
        // Of version 1.2 only what has forward secrecy and authenticated encryption.
        configuration.cipherSuites = "ECDHE+AESGCM:ECDHE+CHACHA20"
        configuration.applicationProtocols = ["http/1.1"]
        if let context = try? NIOSSLContext(configuration: configuration) { return (context, faults) }
        faults.ofKey =
            "\(keyFile) is not the key of the certificate \(certificateFile): give its own."
        return (nil, faults)
    }
}
