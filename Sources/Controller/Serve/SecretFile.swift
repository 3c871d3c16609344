/// Reads the secrets that the configuration names files for.
import Foundation
import Seedbox

enum SecretFile {
    /// A secret that can be guessed would be tried out by whoever reaches the server.
    static let shortest = 16
    static let longest = 1_024

    /// The file's text without its line's end.
    static func read(_ path: String) throws(Problem) -> String {
        guard let data = try? FileHandle(forReadingFrom: URL(filePath: path)).read(upToCount: longest + 2) ?? Data(),
            let text = String(data: data, encoding: .utf8)
        else {
            throw Problem(
                .secretUnreadable,
                "The secret \(visible(path)) cannot be read as text. Correct its path or its permissions."
            )
        }
        let secret = text.trimmingCharacters(in: .newlines)
        guard (shortest...longest).contains(secret.utf8.count) else {
            throw Problem(
                .configurationInvalid,
                "The secret \(visible(path)) has \(secret.utf8.count) bytes; it takes "
                    + "\(shortest) to \(longest). Make one by: openssl rand -hex 32"
            )
        }
        return secret
    }
}
