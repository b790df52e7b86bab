/** The vehicle list beside the map: searchable, filterable, every row a button. */

import { make, say, write } from "./dom.js";
import { counted } from "./words.js";

export class VehicleList {
  /** @param {(id: string) => void} onChoose called with the vehicle whose row was pressed */
  constructor(onChoose) {
    this.onChoose = onChoose;
    this.rows = new Map();
    this.status = "";
    this.list = document.querySelector("[data-testid=vehicle-list]");
    this.count = document.querySelector("[data-testid=vehicle-count]");
    this.note = document.querySelector("[data-list-note]");
    this.search = document.querySelector("#search");
    this.search.addEventListener("input", () => this.#filter());
    for (const button of document.querySelectorAll("[data-filter]")) {
      button.addEventListener("click", () => this.#choose(button));
    }
  }

  /** Fills the list with the fleet as the API tells it. */
  fill(vehicles) {
    this.rows.clear();
    this.list.replaceChildren(...vehicles.map((vehicle) => this.#row(vehicle)));
    write(this.count, counted(vehicles.length, "vehicle"));
    this.#filter();
  }

  /** Updates status and speed of the rows from live positions. */
  apply(vehicles) {
    for (const { id, status, speedKmh } of vehicles) {
      const row = this.rows.get(id);
      if (row) update(row, status, speedKmh);
    }
    if (this.status) this.#filter();
  }

  /** Marks the row of the chosen vehicle; `scroll` brings it into view. */
  highlight(id, scroll) {
    for (const [other, { button }] of this.rows) {
      if (other === id) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
    // Scrolls the list itself and never the page, which on a phone would carry the map away.
    const item = scroll ? this.rows.get(id)?.item : null;
    if (item && this.list.scrollHeight > this.list.clientHeight) {
      this.list.scrollTop = item.offsetTop - this.list.offsetTop - this.list.clientHeight / 3;
    }
  }

  /** Puts the keyboard back on a row. */
  focus(id) {
    this.rows.get(id)?.button.focus({ preventScroll: true });
  }

  #row({ id, name, plate, type, driver, status, speedKmh }) {
    const speed = make("span", { class: "row-speed" });
    const button = make(
      "button",
      { type: "button", class: "row", data: { vehicleRow: id }, onclick: () => this.onChoose(id) },
      make("span", { class: "row-dot" }),
      make("span", { class: "row-name", text: name }),
      speed,
      make("span", { class: "row-sub", text: `${plate} · ${type}` }),
    );
    const item = make("li", {}, button);
    const haystack = [id, name, plate, type, driver?.name ?? ""].join(" ").toLowerCase();
    const row = { item, button, speed, haystack, status: null };
    update(row, status, speedKmh);
    this.rows.set(id, row);
    return item;
  }

  #choose(button) {
    this.status = button.dataset.filter;
    for (const other of document.querySelectorAll("[data-filter]")) {
      other.setAttribute("aria-pressed", String(other === button));
    }
    this.#filter();
  }

  #filter() {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of this.rows.values()) {
      const wanted = !this.status || row.status === this.status;
      const fits = wanted && words.every((word) => row.haystack.includes(word));
      if (row.item.hidden === fits) row.item.hidden = !fits;
      shown += fits ? 1 : 0;
    }
    const filtered = this.rows.size > 0 && (this.status || words.length > 0);
    const sentence = !filtered ? "" : shown === 0 ? "No vehicle fits." : `${shown} shown`;
    say(this.note, sentence);
  }
}

function update(row, status, speedKmh) {
  write(row.speed, status === "moving" ? `${Math.round(speedKmh)} km/h` : status === "idle" ? "Idle" : "Workshop");
  if (row.status !== status) row.button.dataset.status = row.status = status;
}
