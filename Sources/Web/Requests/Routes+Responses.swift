/// The shapes that answers have, and the login's cookie.
import HTTPTypes
import Hummingbird
import NIOCore
import Notation

extension Routes {
    /// Plain text; a sentence gets its line's end.
    static func plain(_ status: HTTPResponse.Status, _ text: String) -> Response {
        let body = ByteBuffer(string: text.hasSuffix("\n") ? text : text + "\n")
        var headers = HTTPFields()
        headers[.contentType] = "text/plain; charset=utf-8"
        headers[.contentLength] = "\(body.readableBytes)"
        headers[.cacheControl] = "no-store"
        return Response(status: status, headers: headers, body: ResponseBody(byteBuffer: body))
    }

    static func json(_ value: Value) -> Response {
        let body = ByteBuffer(bytes: JSON.encode(value))
        var headers = HTTPFields()
        headers[.contentType] = "application/json"
        headers[.contentLength] = "\(body.readableBytes)"
        headers[.cacheControl] = "no-store"
        return Response(status: .ok, headers: headers, body: ResponseBody(byteBuffer: body))
    }

    /// Under TLS the prefix makes browsers refuse a cookie that another host or an unencrypted page planted.
    static func cookieName(isSecure: Bool) -> String { isSecure ? "__Host-farseed" : "farseed" }

    static func setCookie(_ value: String, isSecure: Bool, age: Duration) -> String {
        "\(cookieName(isSecure: isSecure))=\(value); Path=/; Max-Age=\(age.components.seconds); HttpOnly; SameSite=Strict"
            + (isSecure ? "; Secure" : "")
    }

    /// The cookie's value; nil also where there are two of the name, one of which somebody else must have planted.
    static func cookie(_ name: String, in fields: [String]) -> String? {
        var found: String?
        for pair in fields.flatMap({ $0.split(separator: ";") }) {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, parts[0].trimmingSpaces == name else { continue }
            guard found == nil else { return nil }
            found = parts[1].trimmingSpaces
        }
        return found
    }
}
