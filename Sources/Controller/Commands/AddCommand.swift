/// `farseed add`: new torrents from magnet links, web addresses and .torrent files.
import ArgumentParser
import Foundation
import Notation
import Seedbox

struct AddCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add",
        abstract: "Add torrents by magnet link, web address or .torrent file.",
        discussion: """
            A web address is fetched by the seedbox, a file is read here; `-` is standard input. One that is there \
            already is left as it is, and the exit code is 15.
            """
    )

    /// The agent takes no larger file either.
    static let largestFile = 16 << 20
    /// With the rest of the arguments this fits one frame; more goes on lane 0.
    private static let largestInline = 100_000

    @OptionGroup var options: BoxOptions
    @OptionGroup var change: ChangeOptions

    @Flag(name: .long, help: "Do not start it.")
    var paused = false

    @Option(name: [.short, .long], help: "A label; may be given several times.")
    var label: [String] = []

    @Option(name: [.customShort("d"), .customLong("directory")], help: "The seedbox's directory for its data.")
    var directory: String?

    @Option(name: .long, help: "low, normal or high.")
    var priority: Priority?

    @Option(name: .long, help: "Numbers of the files wanted, such as 0,2,5-7; the others are left out.")
    var wanted: NumberList?

    @Option(name: .long, help: "Numbers of files not wanted.")
    var unwanted: NumberList?

    @Option(name: .long, help: "Bytes per second at most from peers, such as 500k or 2M.")
    var downLimit: RateArgument?

    @Option(name: .long, help: "Bytes per second at most to peers.")
    var upLimit: RateArgument?

    @Option(name: .long, help: "Peers at most.")
    var peerLimit: Int?

    @Argument(help: "Magnet links, web addresses, files.", completion: .file(extensions: ["torrent"]))
    var sources: [String]

    func validate() throws {
        if !change.onlyIf.isEmpty { throw ValidationError("--only-if goes with torrents that are there already.") }
        if change.key != nil, sources.count > 1 { throw ValidationError("--key goes with one torrent only.") }
        if let directory, !directory.hasPrefix("/") {
            throw ValidationError("--directory takes an absolute path on the seedbox.")
        }
    }

    func run() async throws {
        // All are read before the first is added.
        let changes = try sources.map(self.change(for:))
        try await Backend.with(options.choice) { backend in
            let began = ContinuousClock.now
            var duplicate: Problem?
            for added in changes {
                let outcome = try await backend.change(added, change.patience(since: began))
                guard case .done(let result, _) = outcome else {
                    try await change.finish(outcome, [], since: began, backend)
                    continue
                }
                let isDuplicate = result["duplicate"]?.bool == true
                let one = ChangeOptions.Changed(
                    hash: result["hash"]?.string.flatMap(InfoHash.init),
                    name: result["name"]?.string ?? "",
                    told: isDuplicate ? "present" : "added",
                    isDuplicate: isDuplicate
                )
                try await change.finish(outcome, [one], since: began, backend)
                if isDuplicate {
                    let name = visible(one.name, atMost: 300)
                    duplicate = Problem(.duplicate, "\(name) is there already and was left as it is.")
                }
            }
            guard let duplicate else { return }
            // Programs have been told already, in the line of the torrent.
            guard change.output.notation != nil else { throw duplicate }
            OutputFile.error.print(Failure.line(duplicate))
            throw ExitCode(duplicate.code.exitCode)
        }
    }

    func change(for source: String) throws -> Change {
        var arguments: [String: Value] = [:]
        if paused { arguments["paused"] = true }
        if !label.isEmpty { arguments["labels"] = .array(label.map { .string($0) }) }
        if let directory { arguments["directory"] = .string(directory) }
        if let priority { arguments["priority"] = .int(priority.number) }
        if let wanted { arguments["wanted"] = wanted.value }
        if let unwanted { arguments["unwanted"] = unwanted.value }
        if let downLimit { arguments["down_limit"] = downLimit.value }
        if let upLimit { arguments["up_limit"] = upLimit.value }
        if let peerLimit { arguments["peer_limit"] = .int(Int64(peerLimit)) }
        if source.lowercased().hasPrefix("magnet:") {
            arguments["magnet"] = .string(source)
        } else if source.hasPrefix("http://") || source.hasPrefix("https://") {
            arguments["url"] = .string(source)
        } else {
            let bytes = try Self.read(source)
            if bytes.count > Self.largestInline {
                return Change(verb: "torrent.add", arguments: arguments, upload: bytes)
            }
            arguments["metainfo"] = .bytes(bytes)
        }
        return Change(verb: "torrent.add", arguments: arguments)
    }

    private static func read(_ source: String) throws -> [UInt8] {
        let shown = source == "-" ? "standard input" : visible(source, atMost: 200)
        let file: FileHandle
        if source == "-" {
            file = .standardInput
        } else if let handle = FileHandle(forReadingAtPath: source) {
            file = handle
        } else {
            throw Problem(
                .notFound,
                "\(shown) cannot be read: \(systemReason(errno)). Give a magnet link, a web address or a .torrent file."
            )
        }
        let data: Data
        do {
            data = try file.read(upToCount: largestFile + 1) ?? Data()
        } catch {
            throw Problem(.notFound, "\(shown) cannot be read. Give a .torrent file.")
        }
        guard data.count <= largestFile else {
            throw Problem(.tooLarge, "\(shown) is larger than \(largestFile >> 20) MiB: that is no .torrent file.")
        }
        // A bencoded map with a key.
        guard data.count > 2, data[0] == UInt8(ascii: "d"), (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(data[1])
        else { throw Problem(.badRequest, "\(shown) is no .torrent file. Give a magnet link, a web address or one.") }
        return Array(data)
    }
}
