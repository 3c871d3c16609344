/// The status page's files, which are part of the program itself.
import Crypto
import HTTPTypes
import Hummingbird
import NIOCore

/// A closed list of paths: what is not in it does not exist, so no path leads anywhere else.
struct PageFiles: Sendable {
    struct File: Sendable {
        var type: String
        var tag: String
        var bytes: ByteBuffer

        init(type: String, _ bytes: [UInt8]) {
            self.type = type
            self.bytes = ByteBuffer(bytes: bytes)
            let digest = SHA256.hash(data: bytes)
            tag = "\"\(Base64.encodeForURL(digest.prefix(12)))\""
        }

        func response(to request: Request) -> Response {
            var headers = HTTPFields()
            headers[.eTag] = tag
            headers[.cacheControl] = "no-cache"
            let known = request.headers[values: .ifNoneMatch].flatMap { $0.split(separator: ",") }
            if known.contains(where: { $0.trimmingSpaces == tag || $0.trimmingSpaces == "W/\(tag)" }) {
                return Response(status: .notModified, headers: headers)
            }
            headers[.contentType] = type
            headers[.contentLength] = "\(bytes.readableBytes)"
            let body = request.method == .head ? ResponseBody() : ResponseBody(byteBuffer: bytes)
            return Response(status: .ok, headers: headers, body: body)
        }
    }

    private let files: [String: File]

    init() {
        let script = "text/javascript; charset=utf-8"
        files = [
            "/": File(type: "text/html; charset=utf-8", PackageResources.index_html),
            "/style.css": File(type: "text/css; charset=utf-8", PackageResources.style_css),
            "/icon.svg": File(type: "image/svg+xml", PackageResources.icon_svg),
            "/actions.js": File(type: script, PackageResources.actions_js),
            "/add.js": File(type: script, PackageResources.add_js),
            "/columns.js": File(type: script, PackageResources.columns_js),
            "/delta.js": File(type: script, PackageResources.delta_js),
            "/detaillines.js": File(type: script, PackageResources.detaillines_js),
            "/details.js": File(type: script, PackageResources.details_js),
            "/dom.js": File(type: script, PackageResources.dom_js),
            "/edit.js": File(type: script, PackageResources.edit_js),
            "/feed.js": File(type: script, PackageResources.feed_js),
            "/format.js": File(type: script, PackageResources.format_js),
            "/hub.js": File(type: script, PackageResources.hub_js),
            "/jobs.js": File(type: script, PackageResources.jobs_js),
            "/jobtext.js": File(type: script, PackageResources.jobtext_js),
            "/keys.js": File(type: script, PackageResources.keys_js),
            "/link.js": File(type: script, PackageResources.link_js),
            "/login.js": File(type: script, PackageResources.login_js),
            "/main.js": File(type: script, PackageResources.main_js),
            "/order.js": File(type: script, PackageResources.order_js),
            "/outbox.js": File(type: script, PackageResources.outbox_js),
            "/packed.js": File(type: script, PackageResources.packed_js),
            "/post.js": File(type: script, PackageResources.post_js),
            "/remove.js": File(type: script, PackageResources.remove_js),
            "/row.js": File(type: script, PackageResources.row_js),
            "/selection.js": File(type: script, PackageResources.selection_js),
            "/settings.js": File(type: script, PackageResources.settings_js),
            "/shared.js": File(type: script, PackageResources.shared_js),
            "/support.js": File(type: script, PackageResources.support_js),
            "/table.js": File(type: script, PackageResources.table_js),
            "/tools.js": File(type: script, PackageResources.tools_js),
            "/wamp.js": File(type: script, PackageResources.wamp_js),
        ]
    }

    /// The paths in their order.
    var paths: [String] { files.keys.sorted() }

    subscript(path: String) -> File? { files[path] }
}
