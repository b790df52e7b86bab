/**
 * Defects that the front end can be given on purpose, so that the gates can be shown to fail.
 *
 * The server writes the names of the active ones into <html data-faults="...">. Without any, every function
 * here is a pass-through.
 */
const active = new Set((document.documentElement.dataset.faults ?? "").split(/\s+/).filter(Boolean));

/** console-error: the page complains once. */
export function complain() {
  if (active.has("console-error")) console.error("The fleet summary could not be calculated.");
}

/** no-markers: the positions arrive, but no vehicle is drawn. */
export const drawsMarkers = !active.has("no-markers");

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
 * light-stays-amber: the connection light never turns green.
 * @param {string} state true state of the connection
 * @returns {string} state to show
 */
export function shownState(state) {
  return active.has("light-stays-amber") ? "reconnecting" : state;
}
