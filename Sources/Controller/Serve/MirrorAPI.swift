/// What the web server tells over HTTP of the mirrors and the jobs, the figures for Prometheus among it.
import Jobs
import Notation
import Seedbox
import Web

struct MirrorAPI: WebAPI {
    let boxes: [Box]
    let outbox: Outbox
    /// Unix milliseconds.
    let started: Int64

    func boxes() async throws -> Value { ["boxes": .array(boxes.map { ["name": .string($0.name)] })] }

    /// Whoever asks is taken to look for a while.
    func torrents(of box: String) async throws -> Value? {
        guard let box = boxes.first(where: { $0.name == box }) else { return nil }
        box.pace.glanced()
        return box.mirror.view.full
    }

    func metrics() async -> String {
        var text = FigureText()
        text.gauge("farseed_info", "The version that runs.", [(["software": Farseed.software], 1)])
        text.gauge("farseed_start_time_seconds", "When the controller started.", [([:], Double(started) / 1000)])
        let views = boxes.map { (name: $0.name, view: $0.mirror.view) }
        text.link(views)
        text.torrents(views)
        text.disks(views)
        // Where the database does not answer the others are told still.
        if let counts = try? await outbox.counts() {
            let states: [FigureText.Sample] = JobState.Name.allCases.map { state in
                (["state": state.rawValue], Double(counts[state] ?? 0))
            }
            text.gauge("farseed_jobs", "Commands that the outbox keeps, by state.", states)
        }
        return text.text
    }
}

/// Text in the format of Prometheus, version 0.0.4.
struct FigureText {
    typealias Sample = (labels: [String: String], value: Double)

    private(set) var text = ""

    mutating func gauge(_ name: String, _ help: String, _ samples: [Sample]) { add(name, "gauge", help, samples) }

    /// The name ends in `_total`.
    mutating func counter(_ name: String, _ help: String, _ samples: [Sample]) { add(name, "counter", help, samples) }

    private mutating func add(_ name: String, _ type: String, _ help: String, _ samples: [Sample]) {
        text += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
        for sample in samples {
            let labels = sample.labels.sorted { $0.key < $1.key }.map { "\($0.key)=\"\(Self.escaped($0.value))\"" }
            let braced = labels.isEmpty ? "" : "{\(labels.joined(separator: ","))}"
            text += "\(name)\(braced) \(Self.number(sample.value))\n"
        }
    }

    private static func number(_ value: Double) -> String {
        Int64(exactly: value).map(String.init) ?? "\(value)"
    }

    private static func escaped(_ text: String) -> String {
        var escaped = ""
        // By code points: a carriage return and a line feed are one character.
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\", "\"": escaped += "\\" + String(scalar)
            case "\n": escaped += "\\n"
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}

extension FigureText {
    typealias BoxView = (name: String, view: BoxMirror.View)

    fileprivate mutating func link(_ boxes: [BoxView]) {
        gauge(
            "farseed_link_live",
            "Whether the link to the seedbox is live.",
            boxes.map { (["box": $0.name], $0.view.link.state == "live" ? 1 : 0) }
        )
        gauge(
            "farseed_link_hop_up",
            "Whether each hop of the link is up.",
            boxes.flatMap { box in
                LinkStatus.Hop.allCases.map { hop in
                    (["box": box.name, "hop": hop.rawValue], box.view.link[hop].state == .up ? 1 : 0)
                }
            }
        )
        gauge(
            "farseed_link_round_trip_seconds",
            "Smoothed round trip to the agent.",
            boxes.compactMap { box in box.view.link.roundTrip.map { (["box": box.name], $0 / .seconds(1)) } }
        )
        gauge(
            "farseed_data_timestamp_seconds",
            "When data last came from the seedbox.",
            boxes.compactMap { box in box.view.link.dataAt.map { (["box": box.name], Double($0) / 1000) } }
        )
        counter(
            "farseed_updates_total",
            "What came from the agent: whole states, and what had changed.",
            boxes.flatMap { box in
                [("snapshot", box.view.counts.snapshots), ("delta", box.view.counts.deltas)].map { kind, count in
                    (["box": box.name, "kind": kind], Double(count))
                }
            }
        )
    }

    fileprivate mutating func disks(_ boxes: [BoxView]) {
        let disks = boxes.flatMap { box in (box.view.host["disks"]?.array ?? []).map { (box.name, $0) } }
        for (name, help, key) in [
            ("farseed_disk_free_bytes", "Free space of each disk with torrents, in steps of 16 MiB.", "free"),
            ("farseed_disk_size_bytes", "Size of each disk with torrents.", "total"),
        ] {
            let samples = disks.compactMap { box, disk -> Sample? in
                guard let directory = disk["directory"]?.string, let bytes = disk[key]?.int else { return nil }
                return (["box": box, "directory": directory], Double(bytes))
            }
            gauge(name, help, samples)
        }
    }

    fileprivate mutating func torrents(_ boxes: [BoxView]) {
        func perBox(_ name: String, _ help: String, _ figure: (TorrentTable) -> Double) -> (String, String, [Sample]) {
            (name, help, boxes.map { (["box": $0.name], figure($0.view.table)) })
        }
        func sum(_ field: Field) -> (TorrentTable) -> Double {
            { $0.torrents.values.reduce(0) { $0 + Double($1[field].int ?? 0) } }
        }
        for (name, help, samples) in [
            perBox("farseed_torrents", "Torrents known at home.") { Double($0.torrents.count) },
            perBox("farseed_torrents_with_error", "Torrents with an error of the tracker or the disk.") { table in
                Double(table.torrents.values.count { $0[.error].int ?? 0 > 0 })
            },
            perBox("farseed_down_bytes_per_second", "What all torrents receive.", sum(.down)),
            perBox("farseed_up_bytes_per_second", "What all torrents send.", sum(.up)),
        ] {
            gauge(name, help, samples)
        }
        gauge(
            "farseed_torrents_by_status",
            "Torrents known at home, by what they do.",
            boxes.flatMap { box in
                TorrentStatus.allCases.map { status in
                    let count = box.view.table.torrents.values.count { $0[.status].string == status.rawValue }
                    return (["box": box.name, "status": status.rawValue], Double(count))
                }
            }
        )
    }
}
