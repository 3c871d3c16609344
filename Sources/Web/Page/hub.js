// One feed for all tabs of a browser: a shared worker that keeps the connection and tells each tab what it is told.

import { Feed } from "./feed.js";

const feed = new Feed();
const ports = new Set();

function tell(message) {
  for (const port of ports) port.postMessage(message);
}

function shape(box, isWhole) {
  const { name, epoch, seq, link, host, dataAt, torrents } = box;
  return { name, epoch, seq, link, host, dataAt, ...(isWhole ? { torrents } : {}) };
}

function state() {
  return { state: feed.state, role: feed.role, clockOffset: feed.clockOffset };
}

function whole() {
  return {
    type: "whole", ...state(), jobs: [...feed.jobs.values()],
    boxes: [...feed.boxes.values()].map((box) => shape(box, true)),
  };
}

feed.addEventListener("state", () => tell({ type: "state", ...state() }));
feed.addEventListener("boxes", () => tell(whole()));
for (const type of ["link", "host"]) {
  feed.addEventListener(type, ({ detail }) => tell({ type, box: shape(detail.box, false) }));
}
feed.addEventListener("torrents", ({ detail }) => {
  const { box, isFull, changed, removed } = detail;
  tell({ type: "torrents", box: shape(box, isFull), isFull, changed, removed });
});
feed.addEventListener("jobs", ({ detail }) => tell({ type: "jobs", known: [...feed.jobs.keys()], ...detail }));

async function answer(port, { id, procedure, kwargs }) {
  try {
    port.postMessage({ type: "answer", id, result: await feed.call(procedure, kwargs) });
  } catch (error) {
    port.postMessage({ type: "answer", id, error: { uri: error.uri, message: error.message } });
  }
}

onconnect = ({ ports: [port] }) => {
  port.onmessage = ({ data }) => {
    switch (data.type) {
      case "hello":
        if (ports.size === 0) feed.start();
        ports.add(port);
        port.postMessage(whole());
        break;
      case "bye":
        ports.delete(port);
        if (ports.size === 0) feed.stop();
        break;
      case "wake": feed.wake(); break;
      case "restart": feed.restart(); break;
      case "logout": feed.logout(); break;
      case "call": answer(port, data); break;
    }
  };
  port.start();
  port.postMessage({ type: "ready" });
};
