/// From the configuration's workers to those that the realm lets in: reads their secrets.
import Foundation
import Seedbox
import Web

enum WorkerCredentials {
    /// A secret that can be guessed would be tried out by whoever reaches the websocket.
    static let shortestSecret = 16
    static let longestSecret = 1_024

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
            guard
                let data = try? FileHandle(forReadingFrom: URL(filePath: path)).read(upToCount: longestSecret + 2)
                    ?? Data(),
                let text = String(data: data, encoding: .utf8)
            else {
                throw Problem(
                    .secretUnreadable,
                    "The secret of the worker \(worker.name), \(visible(path)), cannot be read as text. Correct its path "
                        + "or its permissions."
                )
            }
            let secret = Array(text.trimmingCharacters(in: .newlines).utf8)
            guard (shortestSecret...longestSecret).contains(secret.count) else {
                throw Problem(
                    .configurationInvalid,
                    "The secret of the worker \(worker.name), \(visible(path)), has \(secret.count) bytes; it takes "
                        + "\(shortestSecret) to \(longestSecret). Make one by: openssl rand -hex 32"
                )
            }
            return .secret(secret)
        }
    }
}
