/// The two notations of Transmission's RPC: the old one, and JSON-RPC 2.0 with snake_case names since 4.1.0.

package import Notation

/// Requests are written with the old names everywhere and translated here; answers are read with `Value.named`.
package enum RPCDialect: Sendable, Hashable {
    /// `{"method", "arguments"}` → `{"result": "success", "arguments"}`: every version up to 4.1.
    case old
    /// `{"jsonrpc", "method", "params", "id"}` → `{"result"}` or `{"error"}`: RPC version 6 and later.
    case jsonRPC

    /// By the semantic version of the RPC; the plain `rpc-version` does not tell 4.1.0-beta.2 from 4.1.0.
    package init(semanticVersion: String?) {
        let major = semanticVersion?.split(separator: ".").first.flatMap { Int($0) } ?? 0
        self = major >= 6 ? .jsonRPC : .old
    }

    package func request(_ method: String, _ arguments: [String: Value]) -> Value {
        switch self {
        case .old:
            return ["method": .string(method), "arguments": .map(arguments)]
        case .jsonRPC:
            var parameters: [String: Value] = [:]
            for (name, value) in arguments {
                parameters[Self.modern(name)] =
                    switch (name, value) {
                    case ("fields", .array(let names)): .array(names.map { .string(Self.snake($0.string ?? "")) })
                    case ("ids", .string("recently-active")): "recently_active"
                    default: value
                    }
            }
            return ["jsonrpc": "2.0", "method": .string(Self.snake(method)), "params": .map(parameters), "id": 1]
        }
    }

    /// The arguments of a reply.
    package func arguments(of reply: Value) throws(TransmissionError) -> Value {
        switch self {
        case .old:
            guard let result = reply["result"]?.string else { throw Self.unintelligible }
            guard result == "success" else {
                throw TransmissionError(.refused, "Transmission refused: \(result.prefix(500)).")
            }
            return reply["arguments"] ?? [:]
        case .jsonRPC:
            if let error = reply["error"], !error.isNull {
                let reason = error["data"]?["error_string"]?.string ?? error["message"]?.string ?? "no reason given"
                throw TransmissionError(.refused, "Transmission refused: \(reason.prefix(500)).")
            }
            guard let result = reply["result"] else { throw Self.unintelligible }
            return result
        }
    }

    /// What JSON-RPC calls it: snake case, and a unit by its right name.
    static func modern(_ name: String) -> String { name == "cache-size-mb" ? "cache_size_mib" : snake(name) }

    /// `percentDone` and `peer-limit` as `percent_done` and `peer_limit`.
    package static func snake(_ name: String) -> String {
        if name == "isUTP" { return "is_utp" }
        var snake = ""
        for scalar in name.unicodeScalars {
            switch scalar {
            case "-": snake.unicodeScalars.append("_")
            case "A"..."Z":
                snake.unicodeScalars.append("_")
                snake.unicodeScalars.append(Unicode.Scalar(UInt8(scalar.value) + 32))
            default: snake.unicodeScalars.append(scalar)
            }
        }
        return snake
    }

    static let unintelligible = TransmissionError(
        .unintelligible,
        "What listens at the RPC address does not answer as Transmission does. Check rpc-url in agent.conf."
    )
}

extension Value {
    /// The entry with the old RPC name, under whichever of its two spellings the daemon used.
    package func named(_ name: String) -> Value? { self[name] ?? self[RPCDialect.modern(name)] }
}
