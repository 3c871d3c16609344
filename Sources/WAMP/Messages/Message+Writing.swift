/// Lays messages out as lists of values; empty arguments at the end are left out.
package import Notation

extension Message {
    package var value: Value {
        let kind = Value.int(self.kind.rawValue)
        switch self {
        case .hello(let realm, let details): return [kind, .string(realm), .map(details)]
        case .welcome(let session, let details): return [kind, .int(session), .map(details)]
        case .abort(let details, let reason, let payload):
            return Self.list([kind, .map(details), .string(reason)], payload)
        case .challenge(let method, let extra): return [kind, .string(method), .map(extra)]
        case .authenticate(let signature, let extra): return [kind, .string(signature), .map(extra)]
        case .goodbye(let details, let reason): return [kind, .map(details), .string(reason)]
        case .error(let failed, let request, let details, let uri, let payload):
            return Self.list([kind, .int(failed.rawValue), .int(request), .map(details), .string(uri)], payload)
        case .publish(let request, let options, let topic, let payload):
            return Self.list([kind, .int(request), .map(options), .string(topic)], payload)
        case .published(let request, let publication): return [kind, .int(request), .int(publication)]
        case .subscribe(let request, let options, let topic):
            return [kind, .int(request), .map(options), .string(topic)]
        case .subscribed(let request, let subscription): return [kind, .int(request), .int(subscription)]
        case .unsubscribe(let request, let subscription): return [kind, .int(request), .int(subscription)]
        case .unsubscribed(let request, let revoked), .unregistered(let request, let revoked):
            return .array([kind, .int(request)] + (revoked.map { [.map($0)] } ?? []))
        case .event(let subscription, let publication, let details, let payload):
            return Self.list([kind, .int(subscription), .int(publication), .map(details)], payload)
        case .call(let request, let options, let procedure, let payload):
            return Self.list([kind, .int(request), .map(options), .string(procedure)], payload)
        case .cancel(let request, let options): return [kind, .int(request), .map(options)]
        case .result(let request, let details, let payload):
            return Self.list([kind, .int(request), .map(details)], payload)
        case .register(let request, let options, let procedure):
            return [kind, .int(request), .map(options), .string(procedure)]
        case .registered(let request, let registration): return [kind, .int(request), .int(registration)]
        case .unregister(let request, let registration): return [kind, .int(request), .int(registration)]
        case .invocation(let request, let registration, let details, let payload):
            return Self.list([kind, .int(request), .int(registration), .map(details)], payload)
        case .interrupt(let request, let options): return [kind, .int(request), .map(options)]
        case .yield(let request, let options, let payload):
            return Self.list([kind, .int(request), .map(options)], payload)
        }
    }

    private static func list(_ head: [Value], _ payload: Payload) -> Value {
        if payload.kwargs.isEmpty {
            return .array(payload.args.isEmpty ? head : head + [.array(payload.args)])
        }
        return .array(head + [.array(payload.args), .map(payload.kwargs)])
    }
}
