/** Fleet counters above the list. The page works without them, so they load on their own. */

import { write } from "./dom.js";
import { onPositions } from "./shell.js";

const cells = new Map(
  [...document.querySelectorAll("[data-counter]")].map((cell) => [cell.dataset.counter, cell]),
);

onPositions((vehicles) => {
  const counts = new Map([...cells.keys()].map((status) => [status, 0]));
  for (const { status } of vehicles) {
    if (counts.has(status)) counts.set(status, counts.get(status) + 1);
  }
  for (const [status, count] of counts) write(cells.get(status), String(count));
});
