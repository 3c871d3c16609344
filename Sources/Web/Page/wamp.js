// A small WAMP v2 client over JSON: one session, ticket authentication, subscriptions and calls.

const HELLO = 1, WELCOME = 2, ABORT = 3, CHALLENGE = 4, AUTHENTICATE = 5, GOODBYE = 6, ERROR = 8, SUBSCRIBE = 32,
  SUBSCRIBED = 33, UNSUBSCRIBE = 34, UNSUBSCRIBED = 35, EVENT = 36, CALL = 48, RESULT = 50;

/** How long the server may take to welcome us, and to answer. */
const welcomeWithin = 15_000, answerWithin = 30_000;

/** An ERROR or ABORT with its URI, or a lost connection, whose URI is `farseed.connection`. */
export class WampError extends Error {
  constructor(uri, message) {
    super(message || uri);
    this.uri = uri;
  }
}

export class Wamp {
  #socket;
  #lastRequest = 0;
  #requests = new Map();
  #handlers = new Map();
  #early = new Map();

  /** Opens a session; `closed` is called once, when an opened session is over. */
  static open({ url, realm, user, ticket, closed }) {
    return new Promise((resolve, reject) => {
      const wamp = new Wamp();
      const socket = new WebSocket(url, ["wamp.2.json"]);
      wamp.#socket = socket;
      let isOpen = false;
      const timer = setTimeout(() => fail(new WampError("farseed.connection", "No welcome came in time.")), welcomeWithin);
      const fail = (error) => {
        clearTimeout(timer);
        socket.onclose = socket.onmessage = socket.onopen = null;
        socket.close();
        wamp.#end(error);
        if (isOpen) closed(error); else reject(error);
        isOpen = false;
      };
      socket.onopen = () => wamp.#send([HELLO, realm, {
        roles: { subscriber: { features: { pattern_based_subscription: true } }, caller: { features: {} } },
        authmethods: ["ticket"], authid: user, agent: "Farseed page",
      }]);
      socket.onclose = (event) => fail(new WampError("farseed.connection", event.reason || "The connection was lost."));
      socket.onmessage = ({ data }) => {
        const message = JSON.parse(data);
        switch (message[0]) {
          case CHALLENGE: wamp.#send([AUTHENTICATE, ticket, {}]); break;
          case WELCOME:
            clearTimeout(timer);
            isOpen = true;
            resolve(wamp);
            break;
          case ABORT: fail(new WampError(message[2], message[1]?.message)); break;
          case GOODBYE:
            wamp.#send([GOODBYE, {}, "wamp.close.goodbye_and_out"]);
            fail(new WampError(message[2], message[1]?.message));
            break;
          default: wamp.#received(message);
        }
      };
    });
  }

  /** Subscribes; `handler(kwargs, details)` gets the state first, where the topic has one. Resolves to the subscription. */
  async subscribe(topic, handler, options = { get_retained: true }) {
    const subscription = await this.#request((id) => [SUBSCRIBE, id, options, topic]);
    if (!this.#handlers.has(subscription)) this.#handlers.set(subscription, new Set());
    this.#handlers.get(subscription).add(handler);
    // The first event may have come before this continuation ran.
    const early = this.#early.get(subscription) ?? [];
    this.#early.delete(subscription);
    for (const [kwargs, details] of early) handler(kwargs, details);
    return subscription;
  }

  async unsubscribe(subscription) {
    this.#handlers.delete(subscription);
    await this.#request((id) => [UNSUBSCRIBE, id, subscription]);
  }

  /** Calls; resolves to the result's keyword arguments. */
  call(procedure, kwargs = {}) {
    return this.#request((id) => [CALL, id, {}, procedure, [], kwargs]);
  }

  close() {
    this.#socket.close(1000);
  }

  #request(make) {
    const id = ++this.#lastRequest;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#requests.delete(id);
        reject(new WampError("farseed.connection", "No answer came in time."));
      }, answerWithin);
      this.#requests.set(id, { resolve, reject, timer });
      this.#send(make(id));
    });
  }

  #send(message) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #received(message) {
    switch (message[0]) {
      case EVENT: {
        const [, subscription, , details, , kwargs = {}] = message;
        const handlers = this.#handlers.get(subscription);
        if (handlers) {
          for (const handler of handlers) handler(kwargs, details);
        } else {
          const early = this.#early.get(subscription) ?? [];
          early.push([kwargs, details]);
          this.#early.set(subscription, early);
        }
        break;
      }
      case SUBSCRIBED: this.#settle(message[1], (request) => request.resolve(message[2])); break;
      case UNSUBSCRIBED: this.#settle(message[1], (request) => request.resolve()); break;
      case RESULT: this.#settle(message[1], (request) => request.resolve(message[4] ?? {})); break;
      case ERROR: {
        const [, , id, , uri, args, kwargs] = message;
        this.#settle(id, (request) => request.reject(new WampError(uri, kwargs?.message ?? args?.[0])));
        break;
      }
    }
  }

  #settle(id, how) {
    const request = this.#requests.get(id);
    if (!request) return;
    clearTimeout(request.timer);
    this.#requests.delete(id);
    how(request);
  }

  #end(error) {
    for (const { reject, timer } of this.#requests.values()) {
      clearTimeout(timer);
      reject(error);
    }
    this.#requests.clear();
  }
}
