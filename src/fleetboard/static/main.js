/** Puts the dashboard together: base map, live vehicles, list, details and the connection light. */

import { CITY, drawBasemap } from "./basemap.js";
import { Details } from "./details.js";
import { chosenVehicle, complain, drawsBasemap, drawsMarkers, shownState } from "./faults.js";
import { VehicleList } from "./list.js";
import { LiveFeed } from "./live.js";
import { VehicleMarkers } from "./markers.js";

const { L } = globalThis;
const RETRY_MS = 5_000;
const TEXT = { connected: "Live", reconnecting: "Reconnecting", down: "Offline" };
const ATTRIBUTION = '<a href="https://www.openstreetmap.org/copyright">© OpenStreetMap contributors</a>, ODbL';

const map = openMap();
const fleet = new Map(); // id -> vehicle as last told by the API
const markers = new VehicleMarkers(map, (id) => choose(id, "map"));
const list = new VehicleList((id) => choose(id, "list"));
let openedFrom = "map";
const details = new Details(() => {
  const last = chosen;
  highlight(null);
  if (openedFrom === "list" && last) list.focus(last);
});
let chosen = null;

const pending = new Set(["basemap", "fleet", "positions"]);
function done(part) {
  pending.delete(part);
  // Two frames later the browser has painted what was just drawn.
  if (pending.size === 0 && !document.body.dataset.ready) {
    requestAnimationFrame(() => requestAnimationFrame(() => (document.body.dataset.ready = "true")));
  }
}

function openMap() {
  const container = document.querySelector("[data-testid=map]");
  const inside = { maxBounds: CITY, maxBoundsViscosity: 1 };
  const zoom = { zoomSnap: 0.25, zoomDelta: 0.5, maxZoom: 19, zoomControl: false };
  const opened = L.map(container, { ...inside, ...zoom });
  L.control.zoom({ position: "bottomright" }).addTo(opened);
  L.control.scale({ imperial: false, position: "bottomleft" }).addTo(opened);
  opened.attributionControl.setPrefix("Leaflet").addAttribution(ATTRIBUTION);
  // The view never leaves the ground that the data covers, whatever the window's shape.
  const cover = () => opened.setMinZoom(opened.getBoundsZoom(CITY, true));
  opened.setView(CITY.getCenter(), opened.getBoundsZoom(CITY, true));
  cover();
  opened.on("resize", cover);
  return opened;
}

async function getJson(path) {
  const response = await fetch(path, { headers: { Accept: "application/json" } });
  if (!response.ok) throw new Error(`${path} answered ${response.status}`);
  return response.json();
}

/** Does something until it succeeds; the page says so meanwhile, instead of staying empty. */
async function insist(action, say, sentence) {
  for (;;) {
    try {
      await action();
      return say("");
    } catch {
      say(sentence);
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

async function loadFleet() {
  const vehicles = [];
  for (let total = Infinity; vehicles.length < total; ) {
    const page = await getJson(`/api/fleet/vehicles?limit=500&offset=${vehicles.length}`);
    vehicles.push(...page.items);
    total = page.items.length ? page.total : vehicles.length;
  }
  for (const vehicle of vehicles) fleet.set(vehicle.id, vehicle);
  list.fill(vehicles);
  done("fleet");
}

async function loadBasemap() {
  if (drawsBasemap) drawBasemap(map, await getJson("/static/geo/city.geojson"));
  done("basemap");
}

function applyPositions(vehicles, at) {
  if (drawsMarkers) markers.apply(vehicles);
  list.apply(vehicles);
  const open = vehicles.find(({ id }) => id === details.vehicle);
  if (open) details.live(open);
  document.querySelector("[data-updated]").textContent = new Date(at).toLocaleTimeString("en-GB");
  document.dispatchEvent(new CustomEvent("fleet:positions", { detail: vehicles }));
  done("positions");
}

function showState(state) {
  const shown = shownState(state);
  const light = document.querySelector("[data-testid=connection]");
  // Before the first contact there is nothing to reconnect to.
  if (shown === "reconnecting" && state !== "connected" && pending.has("positions")) return;
  light.dataset.state = shown;
  light.querySelector("[data-connection-text]").textContent = TEXT[shown];
}

function highlight(id, scroll = false) {
  chosen = id;
  markers.highlight(id);
  list.highlight(id, scroll);
}

async function choose(pressed, from) {
  const id = chosenVehicle(pressed, [...fleet.keys()]);
  openedFrom = from;
  highlight(pressed, from === "map");
  if (fleet.has(id)) details.show(fleet.get(id));
  if (from === "list") {
    markers.show(pressed);
    details.focus();
  }
  try {
    const vehicle = await getJson(`/api/fleet/vehicles/${encodeURIComponent(id)}`);
    fleet.set(id, vehicle);
    if (chosen === pressed) details.show(vehicle);
  } catch {
    // What the list already knew stays on show; the light tells of a connection that is lost.
  }
}

const mapNote = document.querySelector("[data-map-note]");
function sayOnMap(sentence) {
  mapNote.textContent = sentence;
  mapNote.hidden = !sentence;
}

complain();
insist(loadBasemap, sayOnMap, "The city map can’t be loaded. Trying again.");
// Once the list is there it speaks for itself (how many rows a filter shows), so only trouble is passed on.
const sayOnList = (sentence) => sentence && list.say(sentence);
insist(loadFleet, sayOnList, "The vehicle list can’t be loaded. Trying again.");
new LiveFeed("/ws/positions", applyPositions, showState).start();
