/** The tracking page: base map, live vehicles, list and details. */

import { all, api } from "./api.js";
import { CITY, drawBasemap } from "./basemap.js";
import { Details } from "./details.js";
import { chosenVehicle, drawnPositions, drawsBasemap } from "./faults.js";
import { VehicleList } from "./list.js";
import { Loading } from "./loading.js";
import { VehicleMarkers } from "./markers.js";
import { onPositions, ready } from "./shell.js";

const { L } = globalThis;
const ATTRIBUTION = '<a href="https://www.openstreetmap.org/copyright">© OpenStreetMap contributors</a>, ODbL';

const map = openMap();
const fleet = new Map(); // id -> vehicle as last told by the API
const markers = new VehicleMarkers(map, (id) => choose(id, "map"));
const list = new VehicleList((id) => choose(id, "list"));
let openedFrom = "map";
let chosen = null;
const details = new Details(() => {
  const last = chosen;
  highlight(null);
  if (openedFrom === "list" && last) list.focus(last);
});

const pending = new Set(["basemap", "fleet", "positions"]);
function done(part) {
  pending.delete(part);
  if (pending.size === 0) ready();
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

function drawFleet(vehicles) {
  for (const vehicle of vehicles) fleet.set(vehicle.id, vehicle);
  list.fill(vehicles);
  done("fleet");
}

function drawCity(city) {
  if (drawsBasemap) drawBasemap(map, city);
  done("basemap");
}

function applyPositions(vehicles) {
  markers.apply(drawnPositions(vehicles));
  list.apply(vehicles);
  const open = vehicles.find(({ id }) => id === details.vehicle);
  if (open) details.live(open);
  done("positions");
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
    const vehicle = await api(`/api/fleet/vehicles/${encodeURIComponent(id)}`);
    fleet.set(id, vehicle);
    if (chosen === pressed) details.show(vehicle);
  } catch (error) {
    // What the list already knew stays on show.
    if (chosen === pressed) details.say(`This may be out of date: ${error.message}.`);
  }
}

const city = new Loading(
  document.querySelector("[data-map-alert]"), "the city map", () => api("/static/geo/city.geojson"), drawCity,
);
const vehicles = new Loading(
  document.querySelector("[data-list-alert]"), "the vehicle list", () => all("/api/fleet/vehicles"), drawFleet,
);
onPositions(applyPositions);
city.refresh();
vehicles.refresh();
