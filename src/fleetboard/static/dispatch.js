/** The dispatch page: loads that wait for a vehicle, loads that have one, and the way from one to the other. */

import { all, api, ApiError } from "./api.js";
import { Assignment } from "./assigning.js";
import { make, Rows, say, write } from "./dom.js";
import { vehiclesById } from "./fleet.js";
import { Loading, Notice } from "./loading.js";
import { may, onChanged, ready } from "./shell.js";
import { capital, moment, number } from "./words.js";

const find = (selector) => document.querySelector(selector);
const mayAssign = may("loads");
const told = find("[data-told]");
const trouble = new Notice(find("[data-trouble]"));
const search = find("#find");
const pendingRows = new Rows(find("[data-pending-rows]"), find("[data-pending-heading]"), pendingRow);
const assignedRows = new Rows(find("[data-assigned-rows]"), find("[data-assigned-heading]"), assignedRow);
let pending = [];
let vehicles = new Map();

const assignment = new Assignment({
  home: (load) => pendingRows.get(load.id)?.querySelector("button") ?? find("[data-pending-heading]"),
  onAssigned: (load, vehicle) => {
    trouble.clear();
    say(told, `${load.reference} is assigned to ${vehicle.name}.`);
    loads.refresh();
  },
});

const loads = new Loading(find("[data-loads-alert]"), "the loads", fetchLoads, draw, stopWaiting);

async function fetchLoads() {
  const [planned, known] = await Promise.all([all("/api/fleet/loads?status=planned"), vehiclesById()]);
  vehicles = known;
  return planned.sort((a, b) => a.dueAt.localeCompare(b.dueAt) || a.id.localeCompare(b.id));
}

function draw(planned) {
  stopWaiting();
  pending = planned.filter(({ vehicleId }) => !vehicleId);
  const assigned = planned.filter(({ vehicleId }) => vehicleId);
  pendingRows.show(pending);
  assignedRows.show(assigned);
  write(find("[data-testid=pending-count]"), number(pending.length));
  write(find("[data-testid=assigned-count]"), number(assigned.length));
  say(find("[data-assigned-note]"), assigned.length ? "" : "No load is waiting to be driven. What gets a vehicle is listed here.");
  filter();
  ready();
}

function stopWaiting() {
  for (const bars of document.querySelectorAll("main [data-waiting]")) bars.remove();
}

function filter() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const load of pending) {
    const haystack = [load.reference, load.cargo, load.origin, load.destination].join(" ").toLowerCase();
    const fits = words.every((word) => haystack.includes(word));
    pendingRows.get(load.id).hidden = !fits;
    shown += fits ? 1 : 0;
  }
  find("[data-pending]").hidden = shown === 0;
  const none = pending.length ? "No pending load fits." : "No load is pending. All of them have a vehicle.";
  say(find("[data-pending-note]"), shown ? "" : none);
}

function pendingRow(load) {
  const cell = (field, attributes, ...children) =>
    make("td", { role: "cell", data: { field }, ...attributes }, ...children);
  const assign = make("button", {
    type: "button",
    class: "button compact",
    text: "Assign",
    "aria-label": `Assign ${load.reference}`,
    onclick: () => assignment.open(load),
  });
  return make(
    "tr",
    { role: "row", data: { load: load.id } },
    cell("reference", { text: load.reference }),
    cell("cargo", { text: capital(load.cargo) }),
    cell("weight", { class: "number", text: `${number(load.weightKg)} kg` }),
    cell("way", {}, way(load)),
    cell("due", {}, due(load, capital)),
    cell("action", { class: "action" }, mayAssign ? assign : null),
  );
}

function assignedRow(load) {
  const vehicle = vehicles.get(load.vehicleId);
  const unassign = make("button", {
    type: "button",
    class: "button compact",
    text: "Unassign",
    "aria-label": `Unassign ${load.reference}`,
    onclick: ({ currentTarget }) => takeBack(load, currentTarget),
  });
  const by = make("strong", { data: { field: "vehicle" }, text: vehicle ? vehicle.name : load.vehicleId });
  const driver = vehicle?.driver ? make("span", { data: { field: "driver", personal: "" }, text: vehicle.driver.name }) : null;
  return make(
    "li",
    { data: { assigned: load.id } },
    make("p", {}, make("strong", { data: { field: "reference" }, text: load.reference }), ` · ${capital(load.cargo)}`),
    make("p", {}, by, driver ? " · " : "", driver),
    make("p", { class: "soft" }, way(load)),
    make("p", { class: "soft" }, "Due ", due(load)),
    mayAssign ? unassign : null,
  );
}

function way({ origin, destination }) {
  const to = make("span", { class: "to" }, make("span", { "aria-hidden": "true", text: "→" }), make("span", { class: "unseen", text: "to" }));
  to.append(make("span", { data: { field: "destination" }, text: destination }));
  return make("span", { class: "way" }, make("span", { data: { field: "origin" }, text: origin }), to);
}

function due({ dueAt }, shown = (text) => text) {
  const late = new Date(dueAt) < new Date();
  return make("time", { datetime: dueAt, class: late && "is-late", text: shown(moment(dueAt)) + (late ? ", late" : "") });
}

async function takeBack(load, button) {
  button.disabled = true;
  say(told, "");
  trouble.clear();
  try {
    await api(`/api/fleet/loads/${encodeURIComponent(load.id)}/assignment`, { method: "DELETE" });
    say(told, `${load.reference} is pending again.`);
    find("[data-assigned-heading]").focus({ preventScroll: true });
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    button.disabled = false;
    trouble.say(`${load.reference} stays assigned: ${error.message}`);
  }
  await loads.refresh();
}

search.addEventListener("input", filter);
onChanged("loads", () => loads.refresh());
loads.refresh();
