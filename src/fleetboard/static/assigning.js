/** The dialog that finds a vehicle for a load: recommendations of the server, best first, each with its reasons. */

import { api, ApiError } from "./api.js";
import { Dialog } from "./dialog.js";
import { make, write } from "./dom.js";
import { opensAssignment } from "./faults.js";
import { Loading, Notice } from "./loading.js";
import { capital, counted, number } from "./words.js";

export class Assignment {
  /**
   * @param {{
   *   home: (load: object) => HTMLElement,
   *   onAssigned: (load: object, vehicle: object) => void,
   * }} page where the keyboard goes when the load's button is gone; what happens after an assignment
   */
  constructor({ home, onAssigned }) {
    this.onAssigned = onAssigned;
    const element = document.querySelector("[data-assignment]");
    const find = (selector) => element.querySelector(selector);
    this.title = find("h2");
    this.summary = find("[data-assignment-load]");
    this.waiting = find("[data-assignment-waiting]");
    this.list = find("[data-recommendations]");
    this.empty = find("[data-assignment-empty]");
    this.note = find("[data-assignment-note]");
    this.trouble = new Notice(find("[data-assignment-trouble]"));
    this.dialog = new Dialog(element, () => home(this.load), () => this.found.stop());
    this.found = new Loading(
      find("[data-assignment-alert]"),
      "the recommendations",
      () => api(`/api/fleet/loads/${encodeURIComponent(this.load.id)}/recommendations`),
      ({ items }) => this.#draw(items),
      () => (this.waiting.hidden = true),
    );
  }

  /** Opens the dialog for a load. */
  open(load) {
    if (!opensAssignment) return;
    this.load = load;
    write(this.title, `Assign ${load.reference}`);
    write(this.summary, `${capital(load.cargo)}, ${number(load.weightKg)} kg, ${load.origin} to ${load.destination}`);
    this.#reset();
    this.dialog.open();
    this.found.refresh();
  }

  #reset() {
    this.trouble.clear();
    this.found.notice.clear();
    this.list.replaceChildren();
    this.empty.hidden = true;
    this.waiting.hidden = false;
    write(this.note, "Looking for vehicles.");
  }

  #draw(items) {
    this.waiting.hidden = true;
    this.empty.hidden = items.length > 0;
    this.list.replaceChildren(...items.map((item, index) => this.#row(item, index === 0)));
    write(this.note, items.length ? `${counted(items.length, "vehicle")} can take this load.` : this.empty.textContent);
  }

  #row({ vehicle, driver, distanceKm, hoursLeft, reasons }, best) {
    const id = `recommendation-${vehicle.id}`;
    const fact = (field, value, text) => make("span", { data: { field } }, make("b", { text: value }), ` ${text}`);
    const assign = make("button", {
      type: "button",
      class: `button compact${best ? " primary" : ""}`,
      text: "Assign",
      "aria-describedby": id,
      onclick: ({ currentTarget }) => this.#assign(vehicle, currentTarget),
    });
    return make(
      "li",
      { class: "recommendation", data: { recommendation: vehicle.id } },
      make(
        "p",
        { class: "recommendation-name", id },
        make("strong", { data: { field: "vehicle" }, text: vehicle.name }),
        make("span", { class: "soft", text: `${vehicle.plate} · ${vehicle.type}` }),
        best ? make("span", { class: "tag", text: "Best match" }) : null,
      ),
      make(
        "p",
        { class: "recommendation-facts" },
        make("span", { data: { field: "driver", personal: "" }, text: driver.name }),
        fact("distance", `${distanceKm.toFixed(1)} km`, "to the pick-up"),
        fact("hours", `${hoursLeft.toFixed(1)} h`, "of driving left"),
      ),
      assign,
      make("ul", { class: "reasons" }, ...reasons.map((reason) => make("li", { text: capital(reason) }))),
    );
  }

  async #assign(vehicle, button) {
    const { load } = this;
    const buttons = this.list.querySelectorAll("button");
    for (const each of buttons) each.disabled = true;
    this.trouble.clear();
    try {
      const path = `/api/fleet/loads/${encodeURIComponent(load.id)}/assignment`;
      await api(path, { method: "POST", body: { vehicleId: vehicle.id } });
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.trouble.say(`${vehicle.name} was not assigned: ${error.message}`);
      for (const each of buttons) each.disabled = false;
      button.focus();
      return;
    }
    if (this.load === load) this.dialog.close();
    this.onAssigned(load, vehicle);
  }
}
