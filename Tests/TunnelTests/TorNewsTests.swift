// What tor's events and answers tell, and what is said of it.
import Seedbox
import Testing

@testable import Tunnel

@Suite struct TorNewsTests {
    @Test("The bootstrap, its warning and the clock are news")
    func news() {
        var news = TorNews()
        news.received("status/bootstrap-phase=NOTICE BOOTSTRAP PROGRESS=30 TAG=x SUMMARY=\"Loading\"")
        #expect(news.bootstrap == 30 && news.phase == "Loading" && news.warning == nil)
        news.received(
            "STATUS_CLIENT WARN BOOTSTRAP PROGRESS=30 TAG=x SUMMARY=\"Loading\" WARNING=\"No route\" REASON=NOROUTE COUNT=4"
        )
        news.received("STATUS_GENERAL WARN CLOCK_SKEW SKEW=-7200 SOURCE=DIRSERV:1.2.3.4:80")
        #expect(news.warning == "No route" && news.reason == "NOROUTE" && news.clockSkew == -7200)
        news.received("STATUS_CLIENT NOTICE BOOTSTRAP PROGRESS=100 TAG=done SUMMARY=\"Done\"")
        #expect(news.bootstrap == 100 && news.warning == nil && news.reason == nil)
        news.received("version=0.4.9.11 (git-x)")
        #expect(news.version == "0.4.9.11")
    }

    @Test("A wrong clock is known until it is set, also while tor finds its way")
    func clock() {
        var news = TorNews()
        news.received("STATUS_GENERAL WARN CLOCK_SKEW MIN_SKEW=-90000 SOURCE=CONSENSUS")
        news.received("STATUS_CLIENT NOTICE CIRCUIT_ESTABLISHED")
        #expect(news.clockSkew == -90_000)
        news.received("STATUS_GENERAL WARN CLOCK_JUMPED TIME=90000 IDLE=0")
        #expect(news.clockSkew == nil)
    }

    @Test("The newest circuit of a password is known, and forgotten when it closes")
    func circuits() {
        var news = TorNews()
        let ours = "SOCKS_USERNAME=\"farseed-vps\" SOCKS_PASSWORD=\"once\""
        func path() -> [String]? { news.paths["once"]?.map(\.description) }
        news.received("circuit-status=\n3 BUILT $AA~guard,$BB~mid PURPOSE=HS_CLIENT_REND \(ours)")
        #expect(path() == ["guard", "mid"])
        for purpose in ["HS_CLIENT_INTRO", "HS_CLIENT_HSDIR", "CIRCUIT_PADDING"] {
            news.received("CIRC 9 BUILT $AA~guard,$DD~away PURPOSE=\(purpose) \(ours)")
        }
        news.received("CIRC 5 BUILT $AA~guard SOCKS_USERNAME=\"other\" SOCKS_PASSWORD=\"theirs\"")
        #expect(path() == ["guard", "mid"] && news.paths.count == 1)
        news.received("CIRC 4 BUILT $AA~guard,$CC~other,$DDDDDDDDDD \(ours)")
        news.received("CIRC 3 CLOSED $AA~guard,$BB~mid REASON=FINISHED")
        #expect(path() == ["guard", "other", "$DDDDDDDD"])
        news.received("CIRC 4 CLOSED $AA~guard,$CC~other")
        #expect(news.paths.isEmpty)
    }

    @Test("A circuit from tor's stock is known once it is ours")
    func stock() {
        var news = TorNews()
        let circuit = "$AA~guard,$BB~mid,$CC~last"
        let ours = "SOCKS_USERNAME=\"farseed-vps\" SOCKS_PASSWORD=\"once\""
        news.received("CIRC 41 BUILT \(circuit) PURPOSE=HS_VANGUARDS")
        news.received("CIRC_MINOR 41 PURPOSE_CHANGED \(circuit) PURPOSE=HS_CLIENT_REND OLD_PURPOSE=HS_VANGUARDS")
        news.received("CIRC_MINOR 41 CANNIBALIZED \(circuit) PURPOSE=HS_CLIENT_REND OLD_PURPOSE=HS_VANGUARDS")
        news.received("CIRC 41 BUILT \(circuit) PURPOSE=HS_CLIENT_REND HS_STATE=HSCR_CONNECTING")
        #expect(news.paths.isEmpty)
        for state in ["HSCR_ESTABLISHED_IDLE", "HSCR_JOINED"] {
            let purpose = "PURPOSE=HS_CLIENT_REND HS_STATE=\(state)"
            news.received("CIRC_MINOR 41 PURPOSE_CHANGED \(circuit) \(purpose) \(ours)")
        }
        news.received("CIRC_MINOR 38 PURPOSE_CHANGED $AA~guard,$DD~other PURPOSE=CIRCUIT_PADDING \(ours)")
        #expect(news.paths.mapValues { $0.map(\.nickname) } == ["once": ["guard", "mid", "last"]])
        news.received("CIRC 41 CLOSED \(circuit) REASON=FINISHED")
        #expect(news.paths.isEmpty)
    }

    @Test("A circuit to an exit from tor's stock is known by the stream that is for us")
    func stockToExit() {
        var news = TorNews()
        let circuit = "$AA~guard,$BB~mid,$CC~exit"
        func stream(_ state: String, _ id: Int, _ who: String) {
            let credentials = "SOCKS_USERNAME=\"\(who)\" SOCKS_PASSWORD=\"once\""
            news.received("STREAM 21 \(state) \(id) 127.0.0.1:22 \(credentials) CLIENT_PROTOCOL=SOCKS5")
        }
        news.received("circuit-status=\n14 BUILT \(circuit) BUILD_FLAGS=NEED_CAPACITY PURPOSE=GENERAL")
        news.received("CIRC 15 BUILT \(circuit) BUILD_FLAGS=NEED_CAPACITY PURPOSE=GENERAL")
        news.received("CIRC 16 BUILT \(circuit) PURPOSE=HS_CLIENT_INTRO")
        news.received("CIRC 17 BUILT \(circuit) BUILD_FLAGS=IS_INTERNAL,NEED_CAPACITY PURPOSE=GENERAL")
        news.received("CIRC 18 BUILT $AA~guard BUILD_FLAGS=ONEHOP_TUNNEL,IS_INTERNAL PURPOSE=GENERAL")
        stream("NEW", 0, "farseed-vps")
        stream("SENTCONNECT", 15, "other")
        for id in 16...19 { stream("SENTCONNECT", id, "farseed-vps") }
        #expect(news.paths.isEmpty)
        stream("SENTCONNECT", 14, "farseed-vps")
        stream("SUCCEEDED", 14, "farseed-vps")
        #expect(news.paths.mapValues { $0.map(\.nickname) } == ["once": ["guard", "mid", "exit"]])
        news.received("CIRC 14 CLOSED \(circuit) REASON=FINISHED")
        #expect(news.paths.isEmpty)
        // What was closed in stock is no way of ours.
        news.received("CIRC 15 CLOSED \(circuit) REASON=FINISHED")
        stream("SENTCONNECT", 15, "farseed-vps")
        #expect(news.paths.isEmpty)
    }

    @Test("Of circuits, in stock and ours, no more are remembered than a tor has")
    func manyCircuits() {
        let credentials = "SOCKS_USERNAME=\"farseed-vps\" SOCKS_PASSWORD=\"once\""
        var news = TorNews()
        for id in 0..<1_000 { news.received("CIRC \(id) BUILT $AA~guard PURPOSE=GENERAL") }
        news.received("STREAM 1 SENTCONNECT 255 a:22 \(credentials)")
        #expect(news.paths.count == 1)
        news.received("CIRC 255 CLOSED $AA~guard")
        news.received("STREAM 1 SENTCONNECT 999 a:22 \(credentials)")
        #expect(news.paths.isEmpty)

        news = TorNews()
        for id in 0..<1_000 { news.received("CIRC \(id) BUILT $AA~guard,$\(id)~r\(id) PURPOSE=GENERAL \(credentials)") }
        #expect(news.paths["once"]?.last?.nickname == "r255")
    }

    private static let guardRelay = String(repeating: "A1", count: 20)
    private static let middleRelay = String(repeating: "b2", count: 20)

    @Test("Each relay's country is asked for once, and what tor does not know is not asked for again")
    func countries() {
        var news = TorNews()
        let ours = "SOCKS_USERNAME=\"farseed-vps\" SOCKS_PASSWORD=\"a\""
        news.received("CIRC 1 BUILT $\(Self.guardRelay)~guard,$\(Self.middleRelay)~mid,$odd\u{1}~odd \(ours)")
        #expect(news.unplaced == [Self.guardRelay, Self.middleRelay] && !news.isPlaced("a"))
        news.placed(Self.guardRelay, in: "DE")
        news.placed(Self.middleRelay, in: nil)
        #expect(news.unplaced.isEmpty && news.isPlaced("a"))
        #expect(news.paths["a"]?.map(\.description) == ["guard (DE)", "mid", "odd"])
        news.received("CIRC 2 BUILT $\(Self.guardRelay)~guard \(ours.replacing("\"a\"", with: "\"b\""))")
        #expect(news.unplaced.isEmpty && news.paths["b"]?.first?.country == "DE")
    }

    @Test(
        "The address of a relay's entry, with and without a digest; nothing else becomes part of a question",
        arguments: [
            ("ns/id/AA=\nr relay id digest 2038-01-01 00:00:00 192.0.2.7 9001 0\ns Fast", "192.0.2.7"),
            ("ns/id/AA=\nr relay id 2038-01-01 00:00:00 192.0.2.7 9001 0", "192.0.2.7"),
            ("ns/id/AA=\nr relay id digest 2038-01-01 00:00:00 192.0.2 9001 0", nil), ("ns/id/AA=", nil),
            ("ns/id/AA=\nr relay id digest 2038-01-01 00:00:00 1.2.3.4\r\nQUIT 9001 0", nil), ("", nil),
        ] as [(String, String?)]
    )
    func entry(text: String, address: String?) { #expect(TorRelay.address(inEntry: text) == address) }

    @Test(
        "A country is two letters",
        arguments: [
            ("ip-to-country/192.0.2.7=de", "DE"), ("ip-to-country/192.0.2.7=??", nil),
            ("ip-to-country/192.0.2.7=", nil),
            ("ip-to-country/192.0.2.7=deu", nil), ("", nil),
        ] as [(String, String?)]
    )
    func country(text: String, code: String?) { #expect(TorRelay.country(inAnswer: text) == code) }

    @Test("A descriptor is asked for, found in one of several directories, or not")
    func descriptors() {
        var news = TorNews()
        news.received("HS_DESC REQUESTED abc NO_AUTH $AA~dir descid HSDIR_INDEX=1")
        #expect(news.descriptors == ["abc": .requested])
        news.received("HS_DESC FAILED abc NO_AUTH $AA~dir descid REASON=NOT_FOUND")
        #expect(news.descriptors == ["abc": .failed("NOT_FOUND")])
        news.received("HS_DESC RECEIVED abc NO_AUTH $BB~dir descid")
        #expect(news.descriptors == ["abc": .received])
        for number in 0..<500 { news.received("HS_DESC REQUESTED other\(number) NO_AUTH $AA~dir descid") }
        #expect(news.descriptors.count <= 64)
    }

    @Test("Why a stream of ours failed is known until the next one begins")
    func failures() {
        var news = TorNews()
        let ours = "SOCKS_USERNAME=\"farseed-vps\" SOCKS_PASSWORD=\"commands\""
        news.received("STREAM 3 FAILED 2 a.onion:22 REASON=DESTROY SOCKS_USERNAME=\"other\" SOCKS_PASSWORD=\"x\"")
        #expect(news.failures.isEmpty)
        news.received("STREAM 4 FAILED 2 a.onion:22 REASON=END REMOTE_REASON=MISC \(ours)")
        #expect(news.failures == ["commands": "END"])
        news.received("STREAM 5 NEW 0 a.onion:22 PURPOSE=USER \(ours)")
        #expect(news.failures.isEmpty)
    }

    @Test(
        "Versions older than the minimum are told apart",
        arguments: [
            ("0.4.9.11", true), ("0.4.9.12", true), ("0.5.0.1-alpha", true), ("0.4.9.10", false), ("0.4.8.99", false),
            ("unknown", true),
        ]
    )
    func versions(version: String, isRecent: Bool) { #expect(TorVersion.isRecent(version) == isRecent) }

    @Test(
        "What a program prints of its version",
        arguments: [
            ("Tor version 0.4.9.11.\nThis build", "0.4.9.11"),
            ("Tor version 0.4.8.1-alpha (git-ab12).", "0.4.8.1-alpha"),
            ("Tor version x", nil), ("bash, version 5.2", nil), ("", nil),
            ("Tor version \(String(repeating: "1", count: 99))", nil),
        ] as [(String, String?)]
    )
    func printed(text: String, version: String?) { #expect(TorVersion.printed(text) == version) }

    @Test("What should be mended is said in sentences")
    func warnings() {
        var news = TorNews()
        news.bootstrap = 100
        #expect(Tor.Status(news: news).warnings.isEmpty)
        news.version = "0.4.8.10"
        news.clockSkew = -7_200
        let warnings = Tor.Status(news: news).warnings
        #expect(warnings.map(\.code) == [.torOutdated, .clockSkew])
        #expect(warnings[0].message.contains("0.4.8.10") && warnings[0].message.contains("0.4.9.11"))
        #expect(warnings[1].message.contains("2 h behind: set it"))
        // What an own tor's program says is true from before it runs on.
        let early = Tor.Status(isStarting: true, programVersion: "0.4.8.10")
        #expect(early.warnings.map(\.code) == [.torOutdated])
        let deaf = Tor.Status(problem: Problem(.notPermitted, "It refuses."))
        #expect(deaf.warnings.map(\.code) == [.torControl] && deaf.warnings[0].message.hasSuffix("It refuses."))
    }

    @Test("What keeps tor from going on has its reason and the clock; being on its way is no problem")
    func bootstrap() {
        var news = TorNews()
        news.bootstrap = 10
        #expect(Tor.Status(news: news).bootstrapProblem == nil)
        news.warning = "No route to \u{1B}[2Jhost"
        news.reason = "NOROUTE"
        news.clockSkew = 600
        let problem = Tor.Status(news: news).bootstrapProblem
        #expect(problem?.code == .torNotReady)
        #expect(problem?.message.hasPrefix("Tor cannot go on at 10 %: No route to [2Jhost (NOROUTE). Tor says") == true)
        #expect(problem?.message.contains("10 min ahead") == true)
    }

    @Test("Pauses grow from one second to a minute, and are short again after a tor that ran well")
    func pauses() {
        var pauses = TorPauses()
        let grown = (0..<8).map { _ in pauses.next(afterRunning: .milliseconds(5)) }
        #expect(grown == [1, 2, 4, 8, 16, 32, 60, 60].map { .seconds($0) })
        #expect(pauses.next(afterRunning: .seconds(121)) == .seconds(1))
        #expect(pauses.next(afterRunning: .seconds(119)) == .seconds(2))
    }
}
