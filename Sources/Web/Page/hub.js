// One feed for all tabs of a browser: a shared worker that keeps the connection and tells each tab what it is told.

import { Feed } from "./feed.js";

const feed = new Feed();
const ports = new Set();
let isStarted = false;

function tell(message) {
  for (const port of ports) port.postMessage(message);
}

function shape(box, isWhole) {
  return {
    name: box.name, epoch: box.epoch, seq: box.seq, link: box.link, dataAt: box.dataAt,
    ...(isWhole ? { torrents: box.torrents } : {}),
  };
}

function whole() {
  return {
    type: "whole", state: feed.state, clockOffset: feed.clockOffset,
    boxes: [...feed.boxes.values()].map((box) => shape(box, true)),
  };
}

feed.addEventListener("state", () => tell({ type: "state", state: feed.state, clockOffset: feed.clockOffset }));
feed.addEventListener("boxes", () => tell(whole()));
feed.addEventListener("link", ({ detail }) => tell({ type: "link", box: shape(detail.box, false) }));
feed.addEventListener("torrents", ({ detail }) => {
  const { box, isFull, changed, removed } = detail;
  tell({ type: "torrents", box: shape(box, isFull), isFull, changed, removed });
});

onconnect = ({ ports: [port] }) => {
  port.onmessage = ({ data }) => {
    switch (data) {
      case "hello":
        ports.add(port);
        port.postMessage(whole());
        if (!isStarted) feed.start();
        isStarted = true;
        break;
      case "bye": ports.delete(port); break;
      case "wake": feed.wake(); break;
      case "restart": feed.restart(); break;
      case "logout": feed.logout(); break;
    }
  };
  port.start();
};
