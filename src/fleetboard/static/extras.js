/** Fleet counters in the header. The page works without them, so they load on their own. */
const cells = new Map(
  [...document.querySelectorAll("[data-counter]")].map((cell) => [cell.dataset.counter, cell]),
);

document.addEventListener("fleet:positions", ({ detail: vehicles }) => {
  const counts = new Map([...cells.keys()].map((status) => [status, 0]));
  for (const { status } of vehicles) {
    if (counts.has(status)) counts.set(status, counts.get(status) + 1);
  }
  for (const [status, count] of counts) {
    const text = String(count);
    if (cells.get(status).textContent !== text) cells.get(status).textContent = text;
  }
});
