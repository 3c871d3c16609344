/// The `[ingest]` section: events that local programs push by ZeroMQ.
import Notation

extension ConfigurationReader {
    mutating func read(ingest: Section?, into configuration: inout Configuration) {
        guard let ingest else { return }
        know(ingest, ["listen", "topics"])
        let topics = prefixes(ingest, "topics", configuration.boxes.map(\.name))
        if topics.isEmpty {
            fault(ingest.path, "`topics` is missing: the URI prefixes that may be published, as [\"com.example.\"].")
        }
        guard let listen = text(ingest, "listen", needed: "the address to listen on, as \"127.0.0.1:5555\".") else {
            return
        }
        guard case .tcp(let host, let port) = SocketAddressText(listen), Self.isLoopback(host) else {
            fault(
                ingest,
                "listen",
                "\"\(visible(listen))\" is no loopback address: write it as \"127.0.0.1:5555\". Who reaches it may publish."
            )
            return
        }
        doors.append(Door(section: ingest, key: "listen", host: host, port: port))
        configuration.ingest = Configuration.Ingest(host: host, port: port, topics: topics)
    }
}
