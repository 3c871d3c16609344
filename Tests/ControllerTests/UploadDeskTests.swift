/// Files that come in parts: whole, bounded, for whom they are, and no longer than they are wanted.
import Seedbox
import Testing

@testable import Controller

@Suite struct UploadDeskTests {
    private let desk = UploadDesk()

    @Test func `a file is the sum of its parts, and may be taken again while it is kept`() throws {
        let id = try desk.add([1, 2], to: nil, by: "ann", at: 0)
        #expect(id.utf8.count == 32)
        #expect(try desk.add([3], to: id, by: "ann", at: 1) == id)
        #expect(try desk.add([9], to: nil, by: "ann", at: 1) != id)
        #expect(try desk.take(id, by: "ann", at: 2) == [1, 2, 3])
        #expect(try desk.take(id, by: "ann", at: 2) == [1, 2, 3])
        #expect(throws: Problem.self) { try desk.add([], to: id, by: "ann", at: 2) }
    }

    @Test func `another user's file is none, nor one that nobody began`() throws {
        let id = try desk.add([1], to: nil, by: "ann", at: 0)
        for (name, who) in [(id, "bob"), ("made up", "ann"), ("", "ann")] {
            #expect(throws: Problem.self) { try desk.add([2], to: name, by: who, at: 1) }
            #expect(throws: Problem.self) { try desk.take(name, by: who, at: 1) }
        }
        #expect(try desk.take(id, by: "ann", at: 1) == [1])
    }

    @Test func `a file that is not gone on with is forgotten`() throws {
        let id = try desk.add([1], to: nil, by: "ann", at: 0)
        _ = try desk.add([2], to: id, by: "ann", at: UploadDesk.keptFor - 1)
        #expect(try desk.add([3], to: id, by: "ann", at: 2 * UploadDesk.keptFor - 2) == id)
        #expect(throws: Problem.self) { try desk.take(id, by: "ann", at: 3 * UploadDesk.keptFor) }
    }

    @Test func `one file and all together are bounded`() throws {
        let part = [UInt8](repeating: 0, count: UploadDesk.largest / 2)
        var files: [String] = []
        for _ in 0..<UploadDesk.mostKept / UploadDesk.largest {
            let id = try desk.add(part, to: nil, by: "ann", at: 0)
            files.append(try desk.add(part, to: id, by: "ann", at: 0))
        }
        let full = #expect(throws: Problem.self) { try desk.add([1], to: nil, by: "bob", at: 0) }
        #expect(full?.code == .refused)
        #expect(try desk.take(files[0], by: "ann", at: 0).count == UploadDesk.largest)
        let large = #expect(throws: Problem.self) { try desk.add([1], to: files[1], by: "ann", at: 0) }
        #expect(large?.code == .tooLarge)
        // Whoever sent too much begins anew.
        #expect(throws: Problem.self) { try desk.take(files[1], by: "ann", at: 0) }
    }
}
