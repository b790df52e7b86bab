/** The panel that tells everything about one vehicle. */

import { say, write } from "./dom.js";
import { shownError } from "./faults.js";
import { capital } from "./words.js";

const STATUS = { moving: "Moving", idle: "Idle", maintenance: "In maintenance" };

export class Details {
  /** @param {() => void} onClose called after the panel was closed */
  constructor(onClose) {
    this.panel = document.querySelector("[data-testid=details]");
    this.fuel = this.panel.querySelector("[data-fuel]");
    this.note = this.panel.querySelector("[data-details-alert]");
    this.service = this.panel.querySelector("[data-service]");
    this.onClose = onClose;
    this.panel.querySelector("[data-details-close]").addEventListener("click", () => this.close());
    document.addEventListener("keydown", ({ key }) => {
      if (key === "Escape" && !this.panel.hidden) this.close();
    });
  }

  /** The vehicle on show, or null. */
  get vehicle() {
    return this.panel.hidden ? null : this.panel.dataset.vehicle;
  }

  /** Opens the panel with what is known of a vehicle. */
  show(vehicle) {
    this.panel.dataset.vehicle = vehicle.id;
    this.#set("id", vehicle.id);
    this.#set("name", vehicle.name);
    this.#set("plate", vehicle.plate);
    this.#set("type", capital(vehicle.type));
    this.#set("driver", vehicle.driver?.name ?? "No driver");
    this.#set("load", vehicle.load ? `${vehicle.load.id} to ${vehicle.load.destination}` : "No load");
    this.#set("fuel", `${Math.round(vehicle.fuelPercent)} %`);
    this.fuel.value = vehicle.fuelPercent;
    this.service.href = `/fleet/maintenance?vehicle=${encodeURIComponent(vehicle.id)}`;
    this.say("");
    this.live(vehicle);
    this.panel.hidden = false;
  }

  /** Follows the vehicle's live speed and status. */
  live({ status, speedKmh }) {
    this.panel.dataset.status = status;
    this.#set("status", STATUS[status] ?? status);
    this.#set("speed", `${Math.round(speedKmh)} km/h`);
  }

  /** Says a sentence about what is shown; an empty one takes it back. */
  say(sentence) {
    say(this.note, shownError(sentence));
  }

  /** Puts the keyboard on the panel. */
  focus() {
    this.panel.querySelector("[data-field=name]").focus({ preventScroll: true });
  }

  /** Hides the panel. */
  close() {
    this.panel.hidden = true;
    delete this.panel.dataset.vehicle;
    this.onClose();
  }

  #set(field, value) {
    write(this.panel.querySelector(`[data-field=${field}]`), value);
  }
}
