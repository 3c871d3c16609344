/// What all senders of events share: their bounds, and the check of each event.
import Logging
import NIOCore
import Notation
import WAMP

/// Confined to the ingest's event loop.
final class IngestGate {
    /// How often refusals are told of at most.
    private static let tellEvery = TimeAmount.seconds(10)

    private static let notation = NotationLimits(depth: 32, elements: 10_000)

    let limits: IngestConfiguration.Limits
    private let topics: [String]
    private let realm: Realm
    private let logger: Logger
    private var rate: RateLimit
    private var channels: [ObjectIdentifier: any Channel] = [:]
    private var refusals = 0
    private var toldAt: NIODeadline?

    init(_ configuration: IngestConfiguration, realm: Realm, logger: Logger) {
        limits = configuration.limits
        topics = configuration.topics
        self.realm = realm
        self.logger = logger
        rate = RateLimit(perSecond: limits.messagesPerSecond, burst: limits.messageBurst, at: .now())
    }

    /// False where there are enough connections.
    func enter(_ channel: any Channel) -> Bool {
        guard channels.count < limits.connections else {
            refuse("there are too many connections")
            return false
        }
        channels[ObjectIdentifier(channel)] = channel
        return true
    }

    func leave(_ channel: any Channel) {
        channels[ObjectIdentifier(channel)] = nil
    }

    func closeAll() -> [EventLoopFuture<Void>] {
        channels.values.map { channel in
            channel.close(promise: nil)
            return channel.closeFuture
        }
    }

    /// False where no message may be taken now.
    func mayTake() -> Bool { rate.take(at: .now()) }

    func publish(_ message: [UInt8]) {
        guard let value = try? JSON.decode(message, limits: Self.notation), let topic = value["topic"]?.string,
            let data = value["data"]
        else {
            refuse("it is not {\"topic\": text, \"data\": value} in JSON")
            return
        }
        guard URIRule.loose.allows(topic), topics.contains(where: { topic.utf8.starts(with: $0.utf8) }) else {
            refuse("its topic is not allowed")
            return
        }
        realm.publish(topic, data)
    }

    /// Something was not taken; told of now and then, and never with what the sender wrote.
    func refuse(_ reason: String) {
        refusals += 1
        if let toldAt, .now() - toldAt < Self.tellEvery { return }
        logger.warning(
            "An event of the ingest was refused.",
            metadata: ["ingest.reason": "\(reason)", "ingest.refusals": "\(refusals)"]
        )
        toldAt = .now()
    }
}
