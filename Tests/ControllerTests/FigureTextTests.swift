/// Figures in Prometheus' format: nothing in a label can forge a line.
import Testing

@testable import Controller

@Suite struct FigureTextTests {
    @Test func `a gauge has its help, its type and a line a sample`() {
        var text = FigureText()
        text.gauge("farseed_things", "What there is.", [(["b": "2", "a": "1"], 3), ([:], 0.25)])
        #expect(
            text.text == """
                # HELP farseed_things What there is.
                # TYPE farseed_things gauge
                farseed_things{a="1",b="2"} 3
                farseed_things 0.25

                """
        )
    }

    @Test func `a counter says that it is one`() {
        var text = FigureText()
        text.counter("farseed_things_total", "What there was.", [([:], 3)])
        #expect(text.text.hasSuffix("# TYPE farseed_things_total counter\nfarseed_things_total 3\n"))
    }

    @Test(arguments: [
        ("/a \"b\"", #"/a \"b\""#), (#"\"#, #"\\"#), ("x\nfarseed_y 1", #"x\nfarseed_y 1"#), ("\r\n", "\r\\n"),
        ("ü", "ü"),
    ])
    func `a label's value stays in its quotes`(value: String, written: String) {
        var text = FigureText()
        text.gauge("farseed_things", "What there is.", [(["directory": value], 1)])
        #expect(text.text.hasSuffix("farseed_things{directory=\"\(written)\"} 1\n"))
    }
}
