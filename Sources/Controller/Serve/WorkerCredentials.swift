/// From the configuration's workers to those that the realm lets in: reads their secrets.
import Web

enum WorkerCredentials {
    static func read(_ workers: [Configuration.Worker]) throws -> [Worker] {
        try workers.map { worker in
            Worker(
                name: worker.name,
                role: Account.Role(rawValue: worker.role) ?? .guest,
                proof: try proof(worker),
                procedures: worker.procedures,
                topics: worker.topics
            )
        }
    }

    private static func proof(_ worker: Configuration.Worker) throws -> Worker.Proof {
        switch worker.proof {
        case .publicKey(let text):
            let digits = Array(text)
            return .publicKey(
                stride(from: 0, to: digits.count - 1, by: 2).compactMap {
                    UInt8(String(digits[$0...$0 + 1]), radix: 16)
                }
            )
        case .secretFile(let path):
            return .secret(Array(try SecretFile.read(path).utf8))
        }
    }
}
