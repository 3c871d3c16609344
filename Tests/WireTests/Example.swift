// The byte examples of `Docs/Wire.md`: what they say, and the bytes as they stand there.
import NIOCore
import Notation
import Testing
import Wire

struct Example: Sendable, CustomTestStringConvertible {
    var name: String
    var frame: Frame
    var hex: String

    init(_ name: String, _ frame: Frame, _ hex: String) {
        self.name = name
        self.frame = frame
        self.hex = hex
    }

    var testDescription: String { name }

    var bytes: [UInt8] {
        hex.split(whereSeparator: \.isWhitespace).map { UInt8($0, radix: 16)! }
    }

    static let all: [Example] = [
        Example(
            "the agent's hello",
            Frame(
                .hello(
                    Hello(software: "farseed-agent 0.1.0", capabilities: ["exec", "verbs", "watch"], role: "control")
                )
            ),
            """
            00 00 00 67 01 00 00 00 00 a5 6c 63 61 70 61 62 69 6c 69 74 69 65 73 83 64 65 78 65 \
            63 65 76 65 72 62 73 65 77 61 74 63 68 66 63 72 65 64 69 74 1a 00 04 00 00 64 72 6f \
            6c 65 67 63 6f 6e 74 72 6f 6c 68 73 6f 66 74 77 61 72 65 73 66 61 72 73 65 65 64 2d \
            61 67 65 6e 74 20 30 2e 31 2e 30 68 76 65 72 73 69 6f 6e 73 82 01 01
            """
        ),
        Example(
            "the controller's hello",
            Frame(.hello(Hello(software: "farseed 0.1.0", capabilities: ["resume"], epoch: 7))),
            """
            00 00 00 51 01 00 00 00 00 a5 6c 63 61 70 61 62 69 6c 69 74 69 65 73 81 66 72 65 73 \
            75 6d 65 66 63 72 65 64 69 74 1a 00 04 00 00 65 65 70 6f 63 68 07 68 73 6f 66 74 77 \
            61 72 65 6d 66 61 72 73 65 65 64 20 30 2e 31 2e 30 68 76 65 72 73 69 6f 6e 73 82 01 \
            01
            """
        ),
        Example(
            "a call",
            Frame(.call(procedure: "status", arguments: .null, cost: 29), call: 1),
            """
            00 00 00 22 02 00 00 00 01 a2 69 61 72 67 75 6d 65 6e 74 73 f6 69 70 72 6f 63 65 64 \
            75 72 65 66 73 74 61 74 75 73
            """
        ),
        Example(
            "a reply",
            Frame(.reply(["status": 0]), call: 1),
            "00 00 00 0e 03 00 00 00 01 a1 66 73 74 61 74 75 73 00"
        ),
        Example(
            "a failure",
            Frame(.failure(WireFailure(code: "not-found", message: "No such torrent.")), call: 2),
            """
            00 00 00 2e 04 00 00 00 02 a2 64 63 6f 64 65 69 6e 6f 74 2d 66 6f 75 6e 64 67 6d 65 \
            73 73 61 67 65 70 4e 6f 20 73 75 63 68 20 74 6f 72 72 65 6e 74 2e
            """
        ),
        Example(
            "an event",
            Frame(.event(["kind": "daemon", "state": "up"], cost: 31), call: 3),
            """
            00 00 00 1b 05 00 00 00 03 a2 64 6b 69 6e 64 66 64 61 65 6d 6f 6e 65 73 74 61 74 65 \
            62 75 70
            """
        ),
        Example(
            "a delta by steps",
            Frame(
                .event(
                    [
                        "kind": "delta", "epoch": 7, "seq": 5, "fields": ["progress", "left"],
                        "rows": [["380f820b9197c4c940c6a2c8b377b67026a47471", 13, -32_768]],
                    ],
                    cost: 108
                ),
                call: 3
            ),
            """
            00 00 00 68 05 00 00 00 03 a5 65 65 70 6f 63 68 07 66 66 69 65 6c 64 73 82 68 70 72 \
            6f 67 72 65 73 73 64 6c 65 66 74 64 6b 69 6e 64 65 64 65 6c 74 61 64 72 6f 77 73 81 \
            83 78 28 33 38 30 66 38 32 30 62 39 31 39 37 63 34 63 39 34 30 63 36 61 32 63 38 62 \
            33 37 37 62 36 37 30 32 36 61 34 37 34 37 31 0d 39 7f ff 63 73 65 71 05
            """
        ),
        Example(
            "data",
            Frame(.data(lane: 1, ByteBuffer(string: "Sum:\n")), call: 4),
            "00 00 00 0b 06 00 00 00 04 01 53 75 6d 3a 0a"
        ),
        Example("the end of a lane", Frame(.end(lane: 0), call: 4), "00 00 00 06 07 00 00 00 04 00"),
        Example("credit for 131,072 bytes", Frame(.credit(131_072), call: 3), "00 00 00 09 08 00 00 00 03 00 02 00 00"),
        Example("a cancel", Frame(.cancel, call: 3), "00 00 00 05 09 00 00 00 03"),
        Example("a ping", Frame(.ping(42)), "00 00 00 0d 0a 00 00 00 00 00 00 00 00 00 00 00 2a"),
        Example("its pong", Frame(.pong(42)), "00 00 00 0d 0b 00 00 00 00 00 00 00 00 00 00 00 2a"),
        Example(
            "a goodbye",
            Frame(.goodbye(WireFailure(code: "bad-request", message: "A frame has the unknown type 99."))),
            """
            00 00 00 41 0c 00 00 00 00 a2 64 63 6f 64 65 6b 62 61 64 2d 72 65 71 75 65 73 74 67 \
            6d 65 73 73 61 67 65 78 20 41 20 66 72 61 6d 65 20 68 61 73 20 74 68 65 20 75 6e 6b \
            6e 6f 77 6e 20 74 79 70 65 20 39 39 2e
            """
        ),
    ]
}
