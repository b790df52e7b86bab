/** The dialog that schedules a service; the server checks the fields, and what it says is shown at them. */

import { api, ApiError } from "./api.js";
import { Dialog } from "./dialog.js";
import { say } from "./dom.js";
import { schedules } from "./faults.js";
import { Notice } from "./loading.js";
import { dayFromNow, sentence } from "./words.js";

export class Scheduling {
  /** @param {(record: object) => void} onScheduled called with the new record */
  constructor(onScheduled) {
    this.onScheduled = onScheduled;
    const element = document.querySelector("[data-schedule]");
    const opener = document.querySelector("[data-open-schedule]");
    this.form = element.querySelector("form");
    this.send = element.querySelector("[data-send]");
    this.alert = new Notice(element.querySelector("[data-schedule-alert]"));
    this.dialog = new Dialog(element, () => opener);
    if (schedules) opener.addEventListener("click", () => this.#open());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (!this.send.disabled) this.#submit();
    });
    this.form.addEventListener("input", ({ target }) => this.#mark(target, ""));
  }

  #open() {
    this.form.reset();
    this.form.elements.scheduledOn.min = dayFromNow(0);
    this.form.elements.scheduledOn.value = dayFromNow(1);
    this.#showErrors(null);
    this.dialog.open();
  }

  async #submit() {
    const { note, ...fields } = Object.fromEntries(new FormData(this.form));
    this.send.disabled = true;
    this.#showErrors(null);
    try {
      const body = note.trim() ? { ...fields, note: note.trim() } : fields;
      const record = await api("/api/fleet/maintenance", { method: "POST", body });
      this.dialog.close();
      this.onScheduled(record);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.#showErrors(error);
    } finally {
      this.send.disabled = false;
    }
  }

  /** Says each field's error at the field, and anything else above them all. */
  #showErrors(error) {
    const named = [...this.form.elements].filter(({ name }) => name);
    const wrong = named.filter(({ name }) => error?.fields[name]);
    for (const field of named) this.#mark(field, error?.fields[field.name] ?? "");
    this.alert.clear();
    if (wrong.length) wrong[0].focus();
    else if (error) this.alert.say(`the service was not scheduled: ${error.message}`);
  }

  #mark(field, error) {
    const place = document.getElementById(field.getAttribute("aria-describedby"));
    if (!place) return;
    // Most complaints go on from the field's name: "must not be empty".
    const subject = /^(is|must)\b/.test(error) ? `${field.labels[0].textContent} ` : "";
    say(place, error && sentence(subject + error));
    if (error) field.setAttribute("aria-invalid", "true");
    else field.removeAttribute("aria-invalid");
  }
}
