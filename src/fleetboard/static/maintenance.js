/** The maintenance page: records in pages, filters that combine, and a dialog that schedules a service. */

import { api } from "./api.js";
import { make, Rows, say, write } from "./dom.js";
import { Filters } from "./filters.js";
import { vehiclesById } from "./fleet.js";
import { Loading } from "./loading.js";
import { Scheduling } from "./scheduling.js";
import { may, ready } from "./shell.js";
import { capital, counted, date, euros, number } from "./words.js";

const PAGE = 25;
const find = (selector) => document.querySelector(selector);
const rows = new Rows(find("[data-record-rows]"), find("[data-heading]"), recordRow);
const [previous, next] = document.querySelectorAll("[data-page]");
let vehicles = new Map();
let offset = 0;
let drawn = null; // the query whose answer is on show
let scheduled = null; // the record that was just made, on top until something else is asked for

const records = new Loading(find("[data-records-alert]"), "the records", fetchRecords, draw, wipe);

async function fetchRecords() {
  vehicles = await vehiclesById();
  fillVehicles();
  const parameters = query();
  return { ...(await api(`/api/fleet/maintenance?${parameters}`)), parameters };
}

function query() {
  const parameters = filters.parameters;
  parameters.set("limit", PAGE);
  parameters.set("offset", offset);
  return String(parameters);
}

function draw({ items, total, parameters }) {
  stopWaiting();
  drawn = parameters;
  // The last record of the last page may have been removed meanwhile.
  if (!items.length && offset > 0 && total > 0) return show(Math.floor((total - 1) / PAGE) * PAGE);
  const shown = scheduled ? [scheduled, ...items.filter(({ id }) => id !== scheduled.id)] : items;
  rows.show(shown);
  for (const item of shown) rows.get(item.id).classList.toggle("is-new", item === scheduled);
  find("[data-records]").hidden = !shown.length;
  find("[data-none]").hidden = shown.length > 0;
  write(find("[data-testid=record-count]"), counted(total, "record"));
  write(find("[data-range]"), items.length ? `${number(offset + 1)}–${number(offset + items.length)}` : "");
  turn(previous, offset > 0);
  turn(next, offset + items.length < total);
  ready();
}

/** Lets a button of the paging be pressed or not; the keyboard does not stay on one that can't. */
function turn(button, possible) {
  const other = button === next ? previous : next;
  if (!possible && document.activeElement === button) {
    other.disabled = false;
    other.focus();
  }
  button.disabled = !possible;
}

/** When the records can't be had, those of another query must not pass for them. */
function wipe() {
  stopWaiting();
  if (drawn === null || drawn === query()) return;
  drawn = null;
  rows.show([]);
  find("[data-records]").hidden = true;
  write(find("[data-testid=record-count]"), "–");
  write(find("[data-range]"), "");
}

function stopWaiting() {
  find("[data-waiting]")?.remove();
}

function show(from) {
  offset = from;
  scheduled = null;
  say(find("[data-told]"), "");
  find("[data-scroll]").scrollTop = 0;
  return records.refresh();
}

function recordRow(record) {
  const { id, status, vehicleId, kind, openedOn, note, costCents } = record;
  const vehicle = vehicles.get(vehicleId);
  const cell = (field, value, attributes, ...children) =>
    make("td", { role: "cell", data: { field, value: value ?? "" }, ...attributes }, ...children);
  return make(
    "tr",
    { role: "row", data: { record: id } },
    cell("status", status, {}, make("span", { class: "badge", data: { status }, text: capital(status) })),
    cell("vehicle", vehicleId, {}, make("strong", { text: vehicle?.name ?? vehicleId }), make("span", { class: "soft", text: vehicle ? ` ${vehicleId}` : "" })),
    cell("kind", kind, { text: capital(kind) }),
    cell("date", openedOn, {}, make("time", { datetime: openedOn, text: date(openedOn) })),
    cell("note", note, { text: note }),
    cell("cost", costCents, { class: "number", text: costCents === null ? "–" : euros(costCents) }),
  );
}

/** Puts the vehicles into the lists to choose from, once; what was chosen before they were known stays chosen. */
function fillVehicles() {
  for (const select of document.querySelectorAll("[data-vehicles]:not([data-filled])")) {
    const chosen = select.value;
    const options = [...vehicles.values()].map(({ id, name, plate }) =>
      make("option", { value: id, text: `${name} · ${plate} · ${id}` }),
    );
    select.replaceChildren(select.options[0], ...options);
    select.value = chosen;
    select.dataset.filled = "";
  }
}

function announce(record) {
  scheduled = record;
  const name = vehicles.get(record.vehicleId)?.name ?? record.vehicleId;
  say(find("[data-told]"), `Planned for ${date(record.openedOn)}: ${record.kind}, ${name}.`);
  find("[data-scroll]").scrollTop = 0;
  records.refresh();
}

const filters = new Filters(find("[data-filters]"), () => show(0));
for (const button of [previous, next]) {
  button.addEventListener("click", () => show(offset + Number(button.dataset.page) * PAGE));
}
if (may("maintenance")) new Scheduling(announce);
records.refresh();
