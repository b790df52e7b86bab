"""The charts, and the figures behind them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from playwright.sync_api import Locator
from playwright.sync_api import TimeoutError as RanOut
from tests.smoke.pages import places
from tests.smoke.pages.screen import Screen

# Whether a canvas has anything but one colour on it, and the colour of its bars: the commonest that is no grey.
_COLUMNS = """(canvas) => {
  const { width, height } = canvas;
  const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
  const counts = new Map();
  const colour = (i) => (data[i + 3] < 250 ? null : (data[i] << 16) | (data[i + 1] << 8) | data[i + 2]);
  const grey = (c) => Math.max(c >> 16, (c >> 8) & 255, c & 255) - Math.min(c >> 16, (c >> 8) & 255, c & 255) < 60;
  for (let i = 0; i < data.length; i += 4) {
    const c = colour(i);
    if (c !== null && !grey(c)) counts.set(c, (counts.get(c) ?? 0) + 1);
  }
  const bar = [...counts].sort((a, b) => b[1] - a[1])[0]?.[0];
  const heights = [];
  if (bar !== undefined) {
    for (let x = 0; x < width; x += 1) {
      let filled = 0;
      for (let y = 0; y < height; y += 1) if (colour(4 * (y * width + x)) === bar) filled += 1;
      heights.push(filled);
    }
  }
  const bars = [];
  let run = [];
  for (const filled of [...heights, 0]) {
    if (filled > 1) run.push(filled);
    else if (run.length) {
      if (run.length > 3) bars.push(Math.max(...run));
      run = [];
    }
  }
  return bars;
}"""


@dataclass(frozen=True)
class Figure:
    """One row of the table behind a chart, as it reads."""

    label: str
    value: str


class Analytics(Screen):
    """The page with the charts."""

    def chart(self, name: str) -> Locator:
        """One chart with all that belongs to it."""
        return places.chart(name)(self.page)

    def state(self, name: str, wanted: str, within_s: float | None = None) -> str | None:
        """A chart's state: the one that is waited for at once, another one after the wait."""
        chart = self.chart(name)
        self.becomes(chart.and_(self.page.locator(f"[{places.CHART_STATE}={wanted}]")), "visible", within_s)
        return chart.first.get_attribute(places.CHART_STATE) if chart.count() else None

    def bars(self, name: str) -> list[int]:
        """Heights of the bars that are drawn, in pixels, from left to right; a bar of no height is none."""
        plot = places.PLOT(self.chart(name))
        if not self.becomes(plot, "visible", 1.0):
            return []
        return [int(height) for height in plot.first.evaluate(_COLUMNS)]

    def pointed_at(self, name: str, position: int, count: int) -> list[str]:
        """What the legend tells while the mouse is over one of so many bars: label and value."""
        plot = places.PLOT_AREA(self.chart(name))
        try:
            plot.scroll_into_view_if_needed()
            box = plot.bounding_box()
        except RanOut:
            return []
        if box is None:
            return []
        # The bars stand in even shares of the width, with a margin of a tenth of one at either side.
        x = box["x"] + box["width"] * (position + 0.6) / (count + 0.2)
        self.page.mouse.move(x, box["y"] + box["height"] * 0.6)
        return [text.strip() for text in places.LEGEND(self.chart(name)).all_inner_texts()]

    def summary(self, name: str) -> str:
        """The number that sums a chart up, as it reads."""
        shown = places.SUMMARY(self.chart(name))
        return shown.first.inner_text().strip() if shown.count() else ""

    def figures(self, name: str) -> list[Figure]:
        """The table behind a chart, opened by its button; empty if there is none."""
        chart = self.chart(name)
        try:
            places.SHOW_FIGURES(chart).click()
        except RanOut:
            return []
        rows = places.FIGURES(chart)
        if not self.becomes(rows, "visible", 2.0):
            return []
        found: Sequence[Sequence[str]] = rows.evaluate_all(
            "(rows) => rows.map((row) => [...row.cells].map((cell) => cell.innerText.trim()))"
        )
        return [Figure(cells[0], cells[1]) for cells in found if len(cells) > 1]
