/** Bars with their values over them, drawn by uPlot; pointing at one tells its label and value in the legend. */

import { drawnValues } from "./faults.js";
import { number } from "./words.js";

const { uPlot } = globalThis;
const HEIGHT = 232;
const FONT = '12px system-ui, "DejaVu Sans", sans-serif';
const COLOUR = { bar: "#3f6be0", ink: "#16202e", soft: "#536074", line: "#e9edf3" };
const MOST_VALUES = 8; // more would run into each other
const LABEL_PX = 56;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

export class BarChart {
  /** @param {HTMLElement} host what it is drawn into, as wide as that is */
  constructor(host) {
    this.host = host;
    new ResizeObserver(() => requestAnimationFrame(() => this.#fit())).observe(host);
  }

  /**
   * Draws the bars.
   * @param {{what: string, title: string, unit: string, labels: string[], values: number[]}} figures
   */
  draw(figures) {
    this.plot?.destroy();
    const values = drawnValues(figures.values);
    const data = [figures.labels.map((_, index) => index), figures.labels.map((_, index) => values[index] ?? null)];
    this.host.replaceChildren();
    this.plot = new uPlot(options(figures, this.#width()), data, this.host);
    const canvas = this.host.querySelector("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", described(figures));
    // What it tells while somebody points at a bar, the canvas's name and the table of figures tell to everybody.
    this.host.querySelector(".u-legend").setAttribute("aria-hidden", "true");
  }

  #width() {
    return Math.max(200, this.host.clientWidth);
  }

  #fit() {
    if (this.plot && this.plot.width !== this.#width()) this.plot.setSize({ width: this.#width(), height: HEIGHT });
  }
}

/** A value as it is shown, with its unit. */
export function shownValue(value, unit) {
  return value === null || value === undefined ? "–" : `${number(value, 4)} ${unit}`;
}

/** A label as there is room for it under a bar: days lose their year. */
function short(label) {
  const day = /^\d{4}-(\d\d)-(\d\d)$/.exec(label);
  return day ? `${Number(day[2])} ${MONTHS[day[1] - 1]}` : label;
}

function described({ title, unit, labels, values }) {
  return `${title}: ${labels.map((label, index) => `${label} ${shownValue(values[index], unit)}`).join(", ")}`;
}

function options({ what, title, unit, labels, values }, width) {
  const axis = { stroke: COLOUR.soft, font: FONT, ticks: { show: false } };
  const top = unit === "%" ? 100 : Math.max(...values, 0) || 1;
  return {
    width,
    height: HEIGHT,
    padding: [18, 4, 0, 0],
    cursor: { drag: { x: false, y: false }, points: { size: 9 } },
    scales: {
      x: { time: false, range: () => [-0.6, labels.length - 0.4] },
      y: { range: () => [0, top * 1.04] },
    },
    axes: [
      {
        ...axis,
        size: 30,
        grid: { show: false },
        splits: () => labels.map((_, index) => index),
        values: (plot, splits) => {
          const every = Math.ceil((splits.length * LABEL_PX) / plot.width);
          return splits.map((index) => (index % every ? "" : short(labels[index])));
        },
      },
      { ...axis, size: 46, grid: { stroke: COLOUR.line, width: 1 }, values: (_plot, splits) => splits.map((value) => number(value, 4)) },
    ],
    series: [
      { label: what, value: (_plot, index) => (index === null ? "–" : labels[index]) },
      {
        label: title,
        value: (_plot, value) => shownValue(value, unit),
        fill: COLOUR.bar,
        width: 0,
        points: { show: false },
        paths: uPlot.paths.bars({ size: [0.62, 72], radius: 0.08 }),
      },
    ],
    hooks: { draw: [writeValues], setCursor: [showLegend] },
  };
}

/** The legend is there while there is something to tell. */
function showLegend(plot) {
  plot.root.classList.toggle("is-pointing", plot.cursor.idx !== null && plot.cursor.left >= 0);
}

/** Writes each value over its bar, as long as there is room. */
function writeValues(plot) {
  const [places, values] = plot.data;
  if (places.length > MOST_VALUES) return;
  const { ctx } = plot;
  ctx.save();
  ctx.fillStyle = COLOUR.ink;
  ctx.font = `600 ${12 * uPlot.pxRatio}px system-ui, "DejaVu Sans", sans-serif`;
  ctx.textAlign = "center";
  ctx.textBaseline = "bottom";
  places.forEach((place, index) => {
    if (values[index] === null) return;
    const [x, y] = [plot.valToPos(place, "x", true), plot.valToPos(values[index], "y", true)];
    ctx.fillText(number(values[index], 4), x, y - 4 * uPlot.pxRatio);
  });
  ctx.restore();
}
