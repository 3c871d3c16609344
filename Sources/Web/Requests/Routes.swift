/// Every path that HTTP has here (`Docs/Subscriptions.md`, "HTTP"), and nothing else.
import Crypto
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import Notation
import WAMP

/// What a request brings besides itself.
struct RequestSource: InitializableFromSource {
    /// Who is at the other end of the connection whose requests this task answers.
    @TaskLocal static var connection = ""

    /// The address at the other end of the connection, or what stands for it.
    let peer: String

    init(source: ApplicationRequestContextSource) {
        peer = Self.connection
    }
}

struct Routes: HTTPResponder {
    typealias Context = RequestSource

    let admission: Admission
    let limits: WebConfiguration.Limits
    let securityFields: [(name: String, value: String)]
    let files: PageFiles
    /// Of the token for `/metrics`; comparing digests takes no time that depends on the secret.
    let metricsToken: SHA256.Digest?
    /// The paths of websockets, each with its subprotocols.
    let sockets: [String: [String]]
    let api: any WebAPI
    let logins: any LoginKeeper
    let throttle: LoginThrottle
    let census: Census
    /// Called with the ids of logins that ended.
    let loggedOut: @Sendable ([String]) -> Void
    let logger: Logger

    /// What a handler knows of its request.
    private struct Caller {
        var client: String
        var isSecure: Bool
        var cookie: String?
        var login: Login?
        var origin: String?
    }

    func respond(to request: Request, context: RequestSource) async throws -> Response {
        var response: Response
        do {
            response = try await answer(request, context)
        } catch let refusal as Refusal {
            response = Self.plain(HTTPResponse.Status(code: refusal.status), refusal.sentence)
            for (name, value) in refusal.fields {
                if let name = HTTPField.Name(name) { response.headers[name] = value }
            }
        } catch let error as WebError where error.code == .overloaded {
            response = Self.plain(.serviceUnavailable, error.message)
            response.headers[.retryAfter] = "5"
        } catch is CancellationError {
            response = Self.plain(.serviceUnavailable, "The server is stopping. Come back in a moment.")
        } catch {
            logger.error("A request failed.", metadata: ["web.error": "\(type(of: error))"])
            response = Self.plain(.internalServerError, "Something failed here. The log says more.")
        }
        for (name, value) in securityFields {
            if let name = HTTPField.Name(name) { response.headers[name] = value }
        }
        return response
    }

    private func answer(_ request: Request, _ context: RequestSource) async throws -> Response {
        let path = String((request.head.path ?? "/").prefix { $0 != "?" })
        let isGet = request.method == .get || request.method == .head
        if let file = files[path] {
            guard isGet else { throw Self.wrongMethod("GET, HEAD") }
            return file.response(to: request)
        }
        let caller = try await caller(of: request, context)
        switch path {
        case "/healthz":
            guard isGet else { throw Self.wrongMethod("GET, HEAD") }
            return Self.plain(.ok, "ok")
        case "/metrics":
            guard isGet else { throw Self.wrongMethod("GET, HEAD") }
            // Not for whoever comes from loopback: an onion service or a proxy brings strangers from there.
            if !hasMetricsToken(request) { try Self.demandViewer(caller) }
            return Self.plain(.ok, await metrics())
        case _ where sockets[path] != nil:
            throw Refusal(
                status: 426,
                sentence: "This is a websocket for WAMP. Use a WAMP client.",
                fields: ["upgrade": "websocket"]
            )
        case "/api/login":
            try Self.demandPost(request)
            return try await login(request, caller)
        case "/api/ticket":
            try Self.demandPost(request)
            return try await ticket(try Self.demandLogin(caller), caller)
        case "/api/logout":
            try Self.demandPost(request)
            return try await logout(caller)
        case "/api/boxes":
            guard isGet else { throw Self.wrongMethod("GET, HEAD") }
            try Self.demandSameSite(request)
            try Self.demandViewer(caller)
            return Self.json(try await api.boxes())
        default:
            if let box = Self.box(in: path) {
                guard isGet else { throw Self.wrongMethod("GET, HEAD") }
                try Self.demandSameSite(request)
                try Self.demandViewer(caller)
                guard let torrents = try await api.torrents(of: box) else {
                    throw Refusal(status: 404, sentence: "There is no seedbox of this name. See /api/boxes.")
                }
                return Self.json(torrents)
            }
            throw Refusal(status: 404, sentence: "There is nothing here. The page is at /.")
        }
    }

    // MARK: Logging in and out

    private func login(_ request: Request, _ caller: Caller) async throws -> Response {
        guard throttle.begin(caller.client) else {
            logins.note(.throttled(client: caller.client))
            throw Refusal(
                status: 429,
                sentence: "Too many logins failed from this address. Wait a minute.",
                fields: ["retry-after": "60"]
            )
        }
        var isFailure = false
        defer { if !isFailure { throttle.takeBack(caller.client) } }
        let body = try await body(of: request)
        let new: NewLogin?
        if let token = body["token"]?.string {
            new = try await logins.open(link: token, client: caller.client)
        } else if let name = body["user"]?.string, let password = body["password"]?.string {
            new = try await logins.open(name: name, password: password, client: caller.client)
        } else {
            throw Refusal(status: 400, sentence: "A login needs token, or user and password, as JSON text.")
        }
        guard let new else {
            isFailure = true
            logger.notice("A login failed.", metadata: ["web.client": "\(caller.client)"])
            throw Refusal(
                status: 401,
                sentence:
                    "This does not log in. A link works once and for a short time; ask for a new one, or check the password."
            )
        }
        var ended = new.ended
        if let old = caller.cookie, let id = try await logins.close(cookie: old) { ended.append(id) }
        loggedOut(ended)
        logger.info(
            "Logged in.",
            metadata: ["web.user": "\(new.login.account.name)", "web.client": "\(caller.client)"]
        )
        var response = Response(status: .noContent)
        response.headers[.cacheControl] = "no-store"
        response.headers[.setCookie] = Self.setCookie(
            new.cookie,
            isSecure: caller.isSecure,
            age: new.lifetime
        )
        return response
    }

    private func ticket(_ login: Login, _ caller: Caller) async throws -> Response {
        guard let ticket = try await logins.makeTicket(for: login, origin: caller.origin) else { throw Self.unknown }
        return Self.json([
            "ticket": .string(ticket), "user": .string(login.account.name),
            "role": .string(login.account.role.rawValue),
        ])
    }

    private func logout(_ caller: Caller) async throws -> Response {
        if let cookie = caller.cookie, let id = try await logins.close(cookie: cookie) { loggedOut([id]) }
        var response = Response(status: .noContent)
        response.headers[.cacheControl] = "no-store"
        response.headers[.setCookie] = Self.setCookie("", isSecure: caller.isSecure, age: .zero)
        return response
    }

    private func body(of request: Request) async throws -> Value {
        do {
            let bytes = try await request.body.collect(upTo: limits.bodyBytes)
            return try JSON.decode(Array(bytes.readableBytesView), limits: NotationLimits(depth: 4, elements: 16))
        } catch is NotationError {
            throw Refusal(status: 400, sentence: "The request's body is no JSON, or more than is needed here.")
        }
    }

    // MARK: Callers

    private func caller(of request: Request, _ context: RequestSource) async throws -> Caller {
        let proto = request.headers[values: Self.forwardedProto]
        let isSecure = admission.isSecure(forwarded: proto.count == 1 ? proto[0] : nil, peer: context.peer)
        let client = admission.client(forwarded: request.headers[values: Self.forwardedFor], peer: context.peer)
        let name = Self.cookieName(isSecure: isSecure)
        let cookie = Self.cookie(name, in: request.headers[values: .cookie])
        var login: Login?
        if let cookie { login = try await logins.login(cookie: cookie) }
        return Caller(
            client: client,
            isSecure: isSecure,
            cookie: cookie,
            login: login,
            origin: request.headers[.origin]
        )
    }

    private func hasMetricsToken(_ request: Request) -> Bool {
        let fields = request.headers[values: .authorization]
        guard let metricsToken, fields.count == 1, fields[0].hasPrefix(Self.bearer) else { return false }
        return SHA256.hash(data: Array(fields[0].utf8.dropFirst(Self.bearer.utf8.count))) == metricsToken
    }

    private static func demandLogin(_ caller: Caller) throws -> Login {
        guard let login = caller.login else { throw unknown }
        return login
    }

    /// What tells of all torrents is not for guests, who see those of their labels only.
    private static func demandViewer(_ caller: Caller) throws {
        guard try demandLogin(caller).account.role != .guest else {
            throw Refusal(status: 403, sentence: "Guests see the torrents of their labels only, and on the page.")
        }
    }

    /// No page of another site can make a browser send this header field without asking first, and no answer to such a
    /// question is ever given here.
    private static func demandPost(_ request: Request) throws {
        guard request.method == .post else { throw wrongMethod("POST") }
        guard request.headers[farseed] == "1" else {
            throw Refusal(status: 403, sentence: "Requests that change something need the header X-Farseed: 1.")
        }
        try demandSameSite(request)
    }

    /// Browsers say of themselves whether a page of this very origin asks; others do not send the field.
    private static func demandSameSite(_ request: Request) throws {
        guard let site = request.headers[fetchSite], site != "same-origin", site != "none" else { return }
        throw Refusal(status: 403, sentence: "Pages of other sites may not ask this.")
    }

    private static let unknown = Refusal(status: 401, sentence: "Nobody is logged in. Log in at /.")
    private static let bearer = "Bearer "
    private static let farseed = HTTPField.Name("x-farseed")!
    private static let fetchSite = HTTPField.Name("sec-fetch-site")!
    private static let forwardedFor = HTTPField.Name("x-forwarded-for")!
    private static let forwardedProto = HTTPField.Name("x-forwarded-proto")!

    private static func wrongMethod(_ allowed: String) -> Refusal {
        Refusal(status: 405, sentence: "This path does not take this method.", fields: ["allow": allowed])
    }

    /// The box's name in `/api/boxes/<box>/torrents`; only the letters that names have.
    private static func box(in path: String) -> String? {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 5, parts[0].isEmpty, parts[1] == "api", parts[2] == "boxes", parts[4] == "torrents",
            !parts[3].isEmpty, parts[3].utf8.count <= 64,
            parts[3].utf8.allSatisfy({ (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x5F })
        else { return nil }
        return String(parts[3])
    }

    private func metrics() async -> String {
        let (counts, slow, encoded) = (census.counts, census.slowReaders, census.encodedEvents)
        let encodings = Serializer.allCases.map {
            "farseed_web_events_encoded_total{serializer=\"\($0)\"} \(encoded[$0] ?? 0)"
        }
        let own = """
            # HELP farseed_web_connections Connections of browsers and scripts.
            # TYPE farseed_web_connections gauge
            farseed_web_connections \(counts.connections)
            # HELP farseed_web_sockets Websockets by whether they have shown who they are.
            # TYPE farseed_web_sockets gauge
            farseed_web_sockets{state="greeting"} \(counts.greeting)
            farseed_web_sockets{state="welcome"} \(counts.sockets)
            # HELP farseed_web_slow_readers_total Websockets that did not keep up, by what became of them.
            # TYPE farseed_web_slow_readers_total counter
            farseed_web_slow_readers_total{outcome="conflated"} \(slow.conflated)
            farseed_web_slow_readers_total{outcome="closed"} \(slow.closed)
            # HELP farseed_web_events_encoded_total Events written out, each once for all who read the same serializer.
            # TYPE farseed_web_events_encoded_total counter
            \(encodings.joined(separator: "\n"))

            """
        return own + (await api.metrics())
    }
}
