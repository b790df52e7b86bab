/**
 * Defects that the front end can be given on purpose, so that the gates can be shown to fail.
 *
 * The server writes the names of the active ones into <html data-faults="...">. Without any, every function
 * here is a pass-through.
 */
const active = new Set((document.documentElement.dataset.faults ?? "").split(/\s+/).filter(Boolean));

/** Defects of whole pages: what they say, what they ask for, how wide they are, what is left without a name. */
export function spoil() {
  if (active.has("console-error")) console.error("The fleet summary could not be calculated.");
  if (active.has("unhandled-rejection")) Promise.reject(new Error("the summary of the fleet is missing"));
  if (active.has("asks-localhost")) ask("https://localhost/fleet/summary");
  if (active.has("asks-staging")) ask("https://staging.fleet.test/fleet/summary");
  if (active.has("plain-websocket")) connectPlainly();
  if (active.has("phone-layout-broken")) document.body.style.minWidth = "900px";
  if (active.has("missing-labels")) unlabel();
}

/** no-markers, one-marker-missing, markers-at-zero: what of the positions is drawn. */
export function drawnPositions(vehicles) {
  if (active.has("no-markers")) return [];
  if (active.has("one-marker-missing")) return vehicles.slice(1);
  if (active.has("markers-at-zero")) return vehicles.map((vehicle) => ({ ...vehicle, lat: 0, lon: 0 }));
  return vehicles;
}

/** blank-map: the map area stays without streets, buildings and water. */
export const drawsBasemap = !active.has("blank-map");

/**
 * wrong-details: a click opens the details of another vehicle.
 * @param {string} id the vehicle that was chosen
 * @param {string[]} ids all vehicles, in order
 * @returns {string} the vehicle to show
 */
export function chosenVehicle(id, ids) {
  if (!active.has("wrong-details")) return id;
  return ids[(ids.indexOf(id) + 1) % ids.length] ?? id;
}

/**
 * light-stays-amber, light-lies: the connection light never turns green, or always is.
 * @param {string} state true state of the connection
 * @returns {string} state to show
 */
export function shownState(state) {
  if (active.has("light-lies")) return "connected";
  return active.has("light-stays-amber") ? "reconnecting" : state;
}

/** never-reconnects: a connection that is lost stays lost. */
export const reconnects = !active.has("never-reconnects");

/** dialog-stays-shut: the dialog for assigning a load does not open. */
export const opensAssignment = !active.has("dialog-stays-shut");

/** dead-button: nobody listens to the button for scheduling a service. */
export const schedules = !active.has("dead-button");

/** filter-sticks: clearing the filters changes nothing. */
export const clearsFilters = !active.has("filter-sticks");

/** error-hidden: what the API could not do is not said. */
export function shownError(sentence) {
  return active.has("error-hidden") ? "" : sentence;
}

/** chart-empty, chart-differs: the values that a chart draws. */
export function drawnValues(values) {
  if (active.has("chart-empty")) return [];
  return active.has("chart-differs") ? values.map((value, index) => (index ? value : value * 0.8)) : values;
}

/** analytics-500: where the figures can't be had, zeros are drawn. */
export function figuresInstead(error) {
  if (!active.has("analytics-500")) throw error;
  const labels = ["flatbed", "reefer", "truck", "van"];
  return { title: null, unit: "%", labels, values: labels.map(() => 0), summary: 0 };
}

function ask(address) {
  fetch(address, { mode: "no-cors" }).catch(() => {});
}

function connectPlainly() {
  try {
    new WebSocket(`ws://${location.host}/ws/positions`);
  } catch {
    // The browser does not let a page that came over TLS do this; the feed is asked for as it should be, too.
  }
}

function unlabel() {
  for (const label of document.querySelectorAll("label")) label.removeAttribute("for");
  for (const named of document.querySelectorAll("button, input, select, textarea")) {
    for (const name of ["aria-label", "aria-labelledby", "title", "placeholder"]) named.removeAttribute(name);
  }
}
