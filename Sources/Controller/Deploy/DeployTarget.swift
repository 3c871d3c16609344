/// Whom `farseed deploy-agent` is about.
import Foundation
import SSH
import Seedbox

/// Which seedbox is meant, as whom to log in, and with which keys.
enum DeployTarget {
    /// `target` is `[USER@]ADDRESS` or `[USER@]NAME`, or nil for `--box` or the only one.
    static func resolve(
        _ target: String?,
        box name: String?,
        in configuration: Configuration
    ) throws -> (Configuration.Box, login: String) {
        guard let target else {
            let box = try Backend.ownBox(name, configuration)
            return (box, box.user)
        }
        let at = target.lastIndex(of: "@")
        let host = at.map { String(target[target.index(after: $0)...]) } ?? target
        let found = configuration.boxes.filter { $0.name == host || $0.addresses.contains(host) }
        guard let box = found.first(where: { name == nil || $0.name == name }) else {
            throw Problem(
                .notFound,
                "No seedbox in the configuration has the address or name \"\(visible(host, atMost: 80))\". Its host key "
                    + "and key are taken from there; `farseed init` writes one."
            )
        }
        guard found.count == 1 || name != nil else {
            throw Problem(.ambiguous, "Several seedboxes have this address. Name one with --box.")
        }
        let login = at.map { String(target[..<$0]) } ?? box.user
        guard FarCommand.isPlain(login) else {
            throw Problem(.badRequest, "\"\(visible(login, atMost: 40))\" is no login name. Write USER@ADDRESS.")
        }
        return (box, login)
    }

    /// The base64 of the box's public key; refuses an administrator's key that is the same.
    static func boxKey(_ box: Configuration.Box, administrator: String) throws -> String {
        do {
            let own = try PrivateKey(path: box.key).publicKey
            guard try PrivateKey(path: administrator).publicKey.blob != own.blob else {
                throw Problem(
                    .badRequest,
                    "The key of --key is the box's own, which shall start the agent and nothing else. Give a key that "
                        + "may log in there."
                )
            }
            return String(own.text.drop { $0 != " " }.dropFirst())
        } catch let error as SSHError {
            throw Problem(.secretUnreadable, error.message)
        }
    }
}
