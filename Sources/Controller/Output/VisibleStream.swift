/// Makes a remote program's output safe for a terminal while it comes, in pieces of any size.
import NIOCore

/// Line ends and tabs stay; whatever else acts on a terminal becomes a visible sign, as in `visible`. A return that ends no
/// line is such a sign, too: it would let what follows overwrite what was shown.
struct VisibleStream: Sendable {
    /// What cannot be shown before more has come: the head of a character, or a return.
    private var pending: [UInt8] = []

    private static let carriageReturn = UInt8(ascii: "\r")

    mutating func received(_ bytes: ByteBuffer) -> ByteBuffer {
        pending += bytes.readableBytesView
        let kept = Self.unfinished(pending)
        let text = String(decoding: pending.dropLast(kept), as: UTF8.self)
        pending = Array(pending.suffix(kept))
        return Self.shown(text)
    }

    /// What is left when no more comes.
    mutating func ended() -> ByteBuffer {
        defer { pending = [] }
        return Self.shown(String(decoding: pending, as: UTF8.self))
    }

    /// How many bytes at the end may mean something else once more has come.
    private static func unfinished(_ bytes: [UInt8]) -> Int {
        if bytes.last == carriageReturn { return 1 }
        for (distance, byte) in bytes.suffix(3).reversed().enumerated() {
            switch byte {
            case 0x80..<0xC0: continue
            case 0xC0..<0xE0: return distance < 1 ? distance + 1 : 0
            case 0xE0..<0xF0: return distance < 2 ? distance + 1 : 0
            case 0xF0...0xFF: return distance < 3 ? distance + 1 : 0
            default: return 0
            }
        }
        return 0
    }

    private static func shown(_ text: String) -> ByteBuffer {
        var shown = String.UnicodeScalarView()
        var hasReturn = false
        for scalar in text.unicodeScalars {
            if hasReturn, scalar != "\n" { shown.append(contentsOf: pictured("\r")) }
            hasReturn = scalar == "\r"
            switch scalar {
            case "\r": break
            case "\n", "\t": shown.append(scalar)
            default: shown.append(contentsOf: pictured(scalar))
            }
        }
        if hasReturn { shown.append(contentsOf: pictured("\r")) }
        return ByteBuffer(string: String(shown))
    }

    private static func pictured(_ scalar: Unicode.Scalar) -> String.UnicodeScalarView {
        (sign(for: scalar) ?? String(Character(scalar))).unicodeScalars
    }
}
