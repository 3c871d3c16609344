/// Decides what a key's forced command lets through.

/// sshd runs `farseed-agent gate --role …` whatever was asked for, and hands over what was asked for in
/// SSH_ORIGINAL_COMMAND. It is compared with a closed set, byte by byte: nothing in it is ever parsed, split or run.
enum Gate: Sendable, Hashable {
    case serve
    case version
    /// With the sentence for standard error.
    case refuse(String)

    /// As a shell says of a program that it may not run.
    static let refusalStatus: Int32 = 126

    static func decide(_ command: String?) -> Gate {
        guard let command else {
            return .refuse(
                "farseed-agent: this key starts no shell. It is for the farseed controller, which asks for `farseed-agent "
                    + "serve`."
            )
        }
        return switch command {
        case "farseed-agent serve": .serve
        case "farseed-agent version": .version
        default:
            .refuse(
                "farseed-agent: this key does not run \"\(Shown.text(command))\". It runs `farseed-agent serve` and "
                    + "`farseed-agent version` only."
            )
        }
    }
}
