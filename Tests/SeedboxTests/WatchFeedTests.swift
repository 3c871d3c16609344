// A feed leads its watcher to every state it is asked for, in events that fit the wire.
import Notation
import Seedbox
import Testing

@Suite struct WatchFeedTests {
    private func torrents(_ count: Int, nameLength: Int = 20, up: Int64 = 0) -> [InfoHash: Torrent] {
        var torrents: [InfoHash: Torrent] = [:]
        for number in 0..<count {
            let digits = String(number, radix: 16)
            let hash = InfoHash(String(repeating: "0", count: 40 - digits.count) + digits)!
            torrents[hash] = Torrent(
                hash: hash,
                [.name: .string(String(repeating: "n", count: nameLength)), .up: .int(up + Int64(number))]
            )
        }
        return torrents
    }

    @Test("A mirror fed by it equals the source, whatever the sizes", arguments: [0, 1, 3, 700])
    func leads(count: Int) {
        var feed = WatchFeed()
        var mirror = Mirror(epoch: 5)
        for state in [torrents(count, nameLength: 4000), torrents(count, up: 9), torrents(count / 2), [:]] {
            for event in feed.next(state) {
                let change = mirror.received(Event(event.value)!)
                #expect(change != .gap)
                #expect(CBOR.encode(event.value).count < 200_000)
            }
            #expect(mirror.table.torrents == state)
            #expect(mirror.isKnown)
        }
    }

    @Test("Nothing changed, nothing sent")
    func quiet() {
        var feed = WatchFeed()
        #expect(feed.next(torrents(3)).count == 1)
        #expect(feed.next(torrents(3)).isEmpty)
    }
}
