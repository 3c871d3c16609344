/// Takes what is too large for a call's arguments from its lane 0.

import Calls
import NIOCore
import Notation
import Seedbox
import Transmission

enum Upload {
    /// With `upload: true` the `metainfo` of `torrent.add` comes as data on lane 0, up to its end: a .torrent file may be
    /// larger than a frame.
    static func arguments(of call: IncomingCall) async throws -> Value {
        guard call.procedure == Verb.add.rawValue, var map = call.arguments.map, map["upload"]?.bool == true else {
            return call.arguments
        }
        var bytes: [UInt8] = []
        receiving: for await input in call.inputs {
            switch input {
            case .data(0, let part):
                guard bytes.count + part.readableBytes <= Verbs.largestMetainfo else {
                    throw Problem(.tooLarge, "A .torrent file has at most \(Verbs.largestMetainfo >> 20) MiB.")
                }
                bytes.append(contentsOf: part.readableBytesView)
            case .end(0): break receiving
            case .data, .end, .event: continue
            }
        }
        try Task.checkCancellation()
        map["upload"] = nil
        map["metainfo"] = .bytes(bytes)
        return .map(map)
    }
}
