/// The shapes of names and addresses that `ConfigurationReader` accepts.
import Foundation

extension ConfigurationReader {
    static func isBoxName(_ name: String) -> Bool {
        guard (1...32).contains(name.utf8.count), let first = name.utf8.first else { return false }
        return (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(first)
            && name.utf8.allSatisfy {
                switch $0 {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
                    true
                default: false
                }
            }
    }

    static func isUserName(_ name: String) -> Bool {
        name.utf8.count <= 64 && !name.hasPrefix("-")
            && name.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7F && !"@:/\\\"'`$".utf8.contains($0) }
    }

    static func isOrigin(_ text: String) -> Bool {
        guard let parts = URLComponents(string: text), let scheme = parts.scheme, let host = parts.host else {
            return false
        }
        return ["http", "https"].contains(scheme) && !host.isEmpty && parts.path.isEmpty && parts.query == nil
            && parts.fragment == nil && parts.user == nil
    }

    static func isLoopback(_ text: String) -> Bool {
        isNumericAddress(text) && (text == "::1" || text.hasPrefix("127."))
    }

    static func isNumericAddress(_ text: String) -> Bool {
        var four = in_addr()
        var six = in6_addr()
        return inet_pton(AF_INET, text, &four) == 1 || inet_pton(AF_INET6, text, &six) == 1
    }
}
