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
        do {
            let chain = try NIOSSLCertificate.fromPEMFile(files.certificateFile)
            let key = try NIOSSLPrivateKey(file: files.keyFile, format: .pem)
            var configuration = TLSConfiguration.makeServerConfiguration(
                certificateChain: chain.map { .certificate($0) },
                privateKey: .privateKey(key)
            )
            configuration.minimumTLSVersion = .tlsv12
            // Of version 1.2 only what has forward secrecy and authenticated encryption.
            configuration.cipherSuites = "ECDHE+AESGCM:ECDHE+CHACHA20"
            configuration.applicationProtocols = ["http/1.1"]
            return try NIOSSLContext(configuration: configuration)
        } catch {
            throw WebError(
                .certificateInvalid,
                "The certificate \(files.certificateFile) and its key \(files.keyFile) cannot be used. "
                    + "Check that both are PEM files, readable, and belong together.",
                cause: error
            )
        }
    }
}
