/// The configuration that `farseed init` writes; pure.
import Foundation
import Seedbox

struct ConfigurationDraft: Sendable {
    var name: String
    var address: String
    var port: Int
    var user: String
    var hostKey: String?
    var clientAuth: String?
    var socks: String?
    var listen: String
    var key: String

    var text: String {
        """
        # Farseed's configuration. `farseed config check` names every fault in it; Docs/Operations.md lists all keys.

        [web]
        # The page and the subscriptions. Another address than loopback wants TLS or a reverse proxy in front.
        listen = \(quoted(listen))

        [tor]
        \(socks.map { "# The SOCKS port of a tor that runs already.\nsocks = " + quoted($0) }
            ?? "# An own tor runs in the state directory; to use another, give its SOCKS port:\n# socks = \"127.0.0.1:9050\"")

        [box.\(name)]
        # The seedbox's onion address: `hostname` in its HiddenServiceDir.
        address = \(quoted(address))
        port = \(port)
        user = \(quoted(user))
        # The private key that logs in there; nobody else may read it.
        key = \(quoted(key))
        # What proves that the machine is yours: `cat /etc/ssh/ssh_host_ed25519_key.pub` prints it there.
        \(hostKey.map { "host-key = " + quoted($0) } ?? "# host-key = \"ssh-ed25519 AAAA…\"")
        # The key of onion client authorization, where the service demands one.
        \(clientAuth.map { "client-auth = " + quoted($0) } ?? "# client-auth = \"\(name).auth_private\"")

        """
    }

    /// Throws `ConfigurationFaults` where the text would not be read back; a host key may still be missing.
    func check(path: String) throws(ConfigurationFaults) {
        var complete = self
        // Any well-formed key stands in for one that comes later.
        complete.hostKey = hostKey ?? "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + String(repeating: "A", count: 43)
        _ = try ConfigurationReader.read(
            complete.text,
            path: path,
            stateDirectory: "/var/lib/farseed",
            surroundings: .init(environment: [:], home: "/", look: { _ in .file(mode: 0o600) })
        )
    }

    /// What is left to do, for the person who ran `init`.
    ///
    /// - Parameter publicKey: as a line of `authorized_keys`; nothing in it means anything to a shell.
    func steps(path: String, publicKey: String) -> [String] {
        var steps = ["Wrote \(visible(path)) and the key \(visible(key)).", ""]
        if hostKey == nil {
            steps += [
                "The configuration lacks the `host-key`. On the seedbox this prints it:", "",
                "  cat /etc/ssh/ssh_host_ed25519_key.pub", "", "Then",
            ]
        } else {
            steps.append("Now")
        }
        let account = FarCommand.isPlain(user) ? "\(user)@\(name)" : name
        return steps + [
            "install the agent, with a key that may log in there:", "",
            "  farseed deploy-agent --key ~/.ssh/id_ed25519 \(account)", "",
            "Or without such a key: copy the file `farseed-agent` to the seedbox's ~/bin, and there run", "",
            // In a shell that is known, and on a line of its own, however the last one ends.
            "  sh -c \"umask 077; mkdir -p ~/.ssh; { echo; echo \(publicKey) | ~/bin/farseed-agent authorize --role control;"
                + " } >> ~/.ssh/authorized_keys\"", "",
            "The first ends with what `farseed doctor` sees of the whole way. `farseed serve` starts.",
        ]
    }

    /// A basic string of TOML.
    private func quoted(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": quoted += "\\" + String(scalar)
            case _ where scalar.value < 0x20 || scalar.value == 0x7F:
                quoted += "\\u" + String(format: "%04x", scalar.value)
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}
