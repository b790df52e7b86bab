/** The filters of a list: a form whose fields are named as the API's parameters, kept in the page's address. */

import { clearsFilters } from "./faults.js";

export class Filters {
  /**
   * @param {HTMLFormElement} form with a button of type reset
   * @param {() => void} onChange
   */
  constructor(form, onChange) {
    this.form = form;
    this.button = form.querySelector("[type=reset]");
    const given = new URLSearchParams(location.search);
    for (const field of this.#fields()) choose(field, given.get(field.name) ?? "");
    this.#show();
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("change", () => this.#changed(onChange));
    form.addEventListener("reset", (event) => {
      event.preventDefault(); // it would bring back what the page was opened with
      if (!clearsFilters) return;
      for (const field of this.#fields()) field.value = "";
      this.#changed(onChange);
      this.#fields()[0].focus();
    });
  }

  /** What is set, as parameters of a query. */
  get parameters() {
    const set = this.#fields().filter(({ value }) => value);
    return new URLSearchParams(set.map(({ name, value }) => [name, value]));
  }

  /** Whether anything is set. */
  get active() {
    return this.parameters.size > 0;
  }

  #fields() {
    return [...this.form.elements].filter(({ name }) => name);
  }

  #changed(onChange) {
    const query = this.parameters.toString();
    history.replaceState(null, "", query ? `?${query}` : location.pathname);
    this.#show();
    onChange();
  }

  #show() {
    this.button.disabled = !this.active;
  }
}

/** Sets a field; a list whose choices are not there yet gets this one. */
function choose(field, value) {
  field.value = value;
  if (field.value !== value && field.options) field.append(new Option(value, value, true, true));
}
