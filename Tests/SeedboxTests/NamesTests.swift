// Names and codes that others rely on are unique and well formed.
import Seedbox
import Testing

@Suite struct NamesTests {
    @Test("Every field has its own lower-case name and is found by it")
    func fieldNames() {
        for field in Field.allCases {
            #expect(Field(name: field.name) == field)
            #expect(field.name.utf8.allSatisfy { $0 == UInt8(ascii: "_") || (97...122).contains($0) })
        }
    }

    @Test("Every problem has its own exit code, clear of the shell's and of wrong usage")
    func exitCodes() {
        let codes = Problem.Code.allCases.map(\.exitCode)
        #expect(Set(codes).count == codes.count)
        #expect(codes.allSatisfy { (1..<64).contains($0) })
    }

    @Test(
        "An info hash is 40 or 64 hex digits and kept in lower case",
        arguments: [
            (String(repeating: "A", count: 40), true), (String(repeating: "f", count: 64), true),
            (String(repeating: "a", count: 39), false), (String(repeating: "g", count: 40), false),
            (String(repeating: "é", count: 20), false), ("", false),
        ]
    )
    func infoHash(text: String, isValid: Bool) {
        #expect(InfoHash(text)?.hex == (isValid ? text.lowercased() : nil))
    }
}
