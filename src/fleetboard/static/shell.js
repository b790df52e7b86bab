/** What every page has: the live connection and its light, and the way out. */

import { api } from "./api.js";
import { say, write } from "./dom.js";
import { shownState, spoil } from "./faults.js";
import { LiveFeed } from "./live.js";
import { sentence, timeOfDay } from "./words.js";

const TEXT = { connected: "Live", reconnecting: "Reconnecting", down: "Offline" };
const light = document.querySelector("[data-testid=connection]");
const followers = { positions: [], changed: new Map() };
let contact = "none"; // none so far, live, or lost

/**
 * Follows the live positions.
 * @param {(vehicles: object[]) => void} listener
 */
export function onPositions(listener) {
  followers.positions.push(listener);
}

/**
 * Hears that something was changed, by whomever. Also after the connection was lost for a while, because
 * changes may have been missed.
 * @param {string} what as the server names it, like "loads"
 * @param {() => void} listener
 */
export function onChanged(what, listener) {
  followers.changed.set(what, [...(followers.changed.get(what) ?? []), listener]);
}

/** Says that the page's first data is drawn. */
export function ready() {
  if (document.body.dataset.ready) return;
  // Two frames later the browser has painted what was just drawn.
  requestAnimationFrame(() => requestAnimationFrame(() => (document.body.dataset.ready = "true")));
}

/**
 * Whether the role of who is signed in may change something; the server decides anew with each request.
 * @param {"loads"|"maintenance"} what
 */
export function may(what) {
  return document.body.dataset.may.split(" ").includes(what);
}

function showVehicles(vehicles, at) {
  write(document.querySelector("[data-updated]"), timeOfDay(at));
  for (const listener of followers.positions) listener(vehicles);
}

function tellChanged(what) {
  for (const listener of followers.changed.get(what) ?? []) listener();
}

function showState(state) {
  if (state === "connected" && contact === "lost") [...followers.changed.keys()].forEach(tellChanged);
  // A session that has ended shows as an outage; whoever has none is sent to the sign-in page.
  if (state === "down") api("/api/session").catch(() => {});
  contact = state === "connected" ? "live" : contact === "none" && state !== "down" ? "none" : "lost";
  const shown = shownState(state);
  // Before the first contact there is nothing to reconnect to.
  if (shown === "reconnecting" && contact === "none") return;
  light.dataset.state = shown;
  write(light.querySelector("[data-connection-text]"), TEXT[shown]);
}

document.querySelector("[data-sign-out]")?.addEventListener("click", async ({ currentTarget }) => {
  const alert = document.querySelector("[data-shell-alert]");
  currentTarget.disabled = true;
  say(alert, "");
  try {
    await api("/api/session", { method: "DELETE" });
    location.assign("/sign-in");
  } catch (error) {
    currentTarget.disabled = false;
    say(alert, sentence(`You are still signed in: ${error.message}`));
  }
});

spoil();
new LiveFeed("/ws/positions", { vehicles: showVehicles, changed: tellChanged, state: showState }).start();
