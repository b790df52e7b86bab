/** The analytics page: four charts, each loaded for itself, so that one that fails leaves the others be. */

import { api } from "./api.js";
import { BarChart, shownValue } from "./chart.js";
import { make, write } from "./dom.js";
import { figuresInstead } from "./faults.js";
import { Loading } from "./loading.js";
import { ready } from "./shell.js";

/** One chart with its summary, its table of figures and its states. */
class ChartPart {
  constructor(element) {
    this.element = element;
    this.title = this.#find("[data-title]");
    this.chart = new BarChart(this.#find("[data-plot]"));
    const path = `/api/fleet/analytics/${element.dataset.chart}`;
    const fetch = () => api(path).catch(figuresInstead);
    this.loading = new Loading(
      this.#find("[data-alert]"),
      `the chart “${this.title.textContent}”`,
      fetch,
      (found) => this.#draw(found),
      () => this.#show("error"),
    );
    this.#find("[data-toggle]").addEventListener("click", ({ currentTarget }) => {
      const opens = currentTarget.getAttribute("aria-expanded") !== "true";
      currentTarget.setAttribute("aria-expanded", String(opens));
      this.#find("[data-figures]").hidden = !opens;
    });
  }

  get settled() {
    return this.element.dataset.state !== "loading";
  }

  #find(selector) {
    return this.element.querySelector(selector);
  }

  #draw({ title, unit, labels, values, summary }) {
    const what = this.element.dataset.what;
    const empty = values.length === 0;
    if (title) write(this.title, title);
    this.#show(empty ? "empty" : "ready");
    write(this.#find("[data-summary]"), empty ? "–" : shownValue(summary, unit));
    if (!empty) {
      this.chart.draw({ what, title: this.title.textContent, unit, labels, values });
      this.#find("[data-figures]").replaceChildren(table(what, this.title.textContent, unit, labels, values));
    }
  }

  #show(state) {
    this.element.dataset.state = state;
    this.#find("[data-waiting]")?.remove();
    this.#find("[data-empty]").hidden = state !== "empty";
    this.#find("[data-figures-part]").hidden = state !== "ready";
    settle();
  }
}

function settle() {
  if (parts.every((part) => part.settled)) ready();
}

function table(what, title, unit, labels, values) {
  const head = make("tr", {}, make("th", { scope: "col", text: what }), make("th", { scope: "col", class: "number", text: "Value" }));
  const rows = labels.map((label, index) =>
    make("tr", {}, make("th", { scope: "row", text: label }), make("td", { class: "number", text: shownValue(values[index], unit) })),
  );
  const caption = make("caption", { class: "unseen", text: title });
  return make("table", {}, caption, make("thead", {}, head), make("tbody", {}, ...rows));
}

const parts = [...document.querySelectorAll("[data-chart]")].map((element) => new ChartPart(element));
for (const part of parts) part.loading.refresh();
