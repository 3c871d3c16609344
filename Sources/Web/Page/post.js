// Requests that change something at the server.

/** Sends a request that changes something; the header field is one that no foreign page can send. */
export function post(path, body) {
  return fetch(path, {
    method: "POST",
    headers: { "X-Farseed": "1", ...(body ? { "Content-Type": "application/json" } : {}) },
    body: body ? JSON.stringify(body) : undefined,
  });
}
