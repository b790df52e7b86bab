/** Live messages over a WebSocket, and the truth about how live they are. */

import { reconnects } from "./faults.js";

const STALE_MS = 10_000; // data older than this is not live any more
const DOWN_MS = 15_000; // trouble that lasts longer than this is an outage
const CONNECT_MS = 5_000; // a handshake may hang; give it up and try again
const BACKOFF_MS = { first: 500, most: 8_000 };

export class LiveFeed {
  /**
   * @param {string} path path of the WebSocket on our own origin
   * @param {{
   *   vehicles: (vehicles: object[], at: string) => void,
   *   changed: (what: string) => void,
   *   state: (state: "connected"|"reconnecting"|"down") => void,
   * }} tell called with every new set of positions, what else was changed, and when the state changes
   */
  constructor(path, tell) {
    this.url = new URL(path, location.href.replace(/^http/, "ws"));
    this.tell = tell;
    this.state = null;
    this.attempts = 0;
    this.lastAt = null;
    this.freshAt = -Infinity;
    this.troubleSince = performance.now();
    this.socket = null;
  }

  /** Connects, and keeps connecting for as long as the page is open. */
  start() {
    this.#connect();
    setInterval(() => this.#check(), 1_000);
  }

  #connect() {
    const socket = new WebSocket(this.url);
    this.socket = socket;
    this.startedAt = performance.now();
    socket.addEventListener("message", ({ data }) => {
      if (socket === this.socket) this.#receive(data);
    });
    socket.addEventListener("close", () => {
      if (socket === this.socket) this.#retry();
    });
  }

  #retry() {
    this.socket = null;
    this.#judge();
    if (!reconnects) return;
    const wait = Math.min(BACKOFF_MS.most, BACKOFF_MS.first * 2 ** this.attempts);
    this.attempts += 1;
    // Jitter keeps a whole control room from coming back in the same instant.
    setTimeout(() => this.#connect(), wait * (0.5 + Math.random() / 2));
  }

  #receive(data) {
    const message = parse(data);
    if (message?.type === "changed") this.tell.changed(message.what);
    // The same moment sent again is old data on a connection that merely looks alive.
    if (!Array.isArray(message?.vehicles) || !message.at || message.at === this.lastAt) return;
    this.lastAt = message.at;
    this.freshAt = performance.now();
    this.attempts = 0;
    this.tell.vehicles(message.vehicles, message.at);
    this.#judge();
  }

  #check() {
    const now = performance.now();
    const heard = Math.max(this.freshAt, this.startedAt);
    const limit = this.socket?.readyState === WebSocket.OPEN ? STALE_MS : CONNECT_MS;
    if (this.socket && now - heard > limit) {
      const dead = this.socket;
      this.#retry(); // first, so that the old socket's own close event is no longer ours
      dead.close();
    }
    this.#judge();
  }

  #judge() {
    const now = performance.now();
    const live = this.socket?.readyState === WebSocket.OPEN && now - this.freshAt <= STALE_MS;
    if (live) this.troubleSince = null;
    else this.troubleSince ??= now;
    const state = live ? "connected" : now - this.troubleSince > DOWN_MS ? "down" : "reconnecting";
    if (state !== this.state) this.tell.state((this.state = state));
  }
}

function parse(data) {
  try {
    return JSON.parse(data);
  } catch {
    return null; // not ours; the staleness check decides what that means
  }
}
