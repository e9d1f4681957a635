// Plots and tables of the figures, as SVG that follows the page's colours.

import { h, svg } from "./dom.js";

const [WIDTH, HEIGHT] = [320, 200];
const [LEFT, RIGHT, TOP, BOTTOM] = [38, 10, 10, 38];

/** Return a plot as the report describes it, with its numbers for who cannot see it. */
export function chartOf(chart) {
  const spans = chart.kind === "lines" ? lineSpans(chart) : barSpans(chart);
  const toX = (x) => LEFT + ((x - spans.x[0]) / (spans.x[1] - spans.x[0])) * (WIDTH - LEFT - RIGHT);
  const toY = (y) =>
    HEIGHT - BOTTOM - ((y - spans.y[0]) / (spans.y[1] - spans.y[0])) * (HEIGHT - TOP - BOTTOM);
  const plot = svg("svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    role: "img",
    "aria-label": `${chart.title}: ${summaryOf(chart)}`,
  });
  for (const tick of ticks(spans.y)) {
    plot.append(
      svg("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: toY(tick), y2: toY(tick) }),
      svg("text", { x: LEFT - 6, y: toY(tick) + 4, "text-anchor": "end" }, short(tick)),
    );
  }
  for (const tick of ticks(spans.x)) {
    plot.append(
      svg("text", { x: toX(tick), y: HEIGHT - BOTTOM + 16, "text-anchor": "middle" }, short(tick)),
    );
  }
  plot.append(
    svg(
      "text",
      { class: "axis", x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 6, "text-anchor": "middle" },
      chart.x,
    ),
  );
  if (chart.kind === "lines") {
    chart.series.forEach((series, i) => {
      const path = series.points.map(([x, y], k) => `${k ? "L" : "M"}${toX(x)} ${toY(y)}`).join("");
      plot.append(svg("path", { class: `line series-${i}`, d: path }));
    });
  } else {
    for (const [start, end, count] of chart.bins) {
      const bar = svg("rect", {
        class: "bar",
        x: toX(start) + 1,
        width: Math.max(1, toX(end) - toX(start) - 2),
        y: toY(count),
        height: toY(0) - toY(count),
        rx: 1.5,
      });
      bar.append(svg("title", {}, `${short(start)}–${short(end)} ${chart.x}: ${count} ${chart.y}`));
      plot.append(bar);
    }
  }
  const legend =
    chart.kind === "lines" && chart.series.length > 1
      ? h(
          "ul",
          { class: "legend" },
          ...chart.series.map((series, i) => h("li", { class: `series-${i}` }, series.name)),
        )
      : null;
  return h(
    "figure",
    { class: "chart" },
    h("figcaption", {}, chart.title, h("span", { class: "axis-y" }, ` · ${chart.y}`)),
    legend,
    plot,
  );
}

/** Return a table as the report describes it. */
export function tableOf(table) {
  const head = table.columns.map((column) => h("th", { scope: "col" }, column));
  const rows = table.rows.map(([name, ...cells]) =>
    h(
      "tr",
      {},
      h("th", { scope: "row", title: name }, name),
      ...cells.map((cell) => h("td", {}, cell === null ? "–" : String(cell))),
    ),
  );
  return h(
    "div",
    { class: "table", tabindex: 0, role: "region", "aria-label": table.title },
    h(
      "table",
      {},
      h("caption", {}, table.title),
      h("thead", {}, h("tr", {}, ...head)),
      h("tbody", {}, ...rows),
    ),
  );
}

function summaryOf(chart) {
  if (chart.kind === "bars") {
    const top = chart.bins.reduce((best, bin) => (bin[2] > best[2] ? bin : best), [0, 0, 0]);
    return `most ${chart.y} from ${short(top[0])} to ${short(top[1])} ${chart.x}`;
  }
  return chart.series
    .map(({ name, points }) => {
      const last = points.at(-1);
      return last ? `${name} ends at ${chart.y} ${short(last[1])}` : `${name} has no points`;
    })
    .join(", ");
}

function lineSpans(chart) {
  const xs = chart.series.flatMap((series) => series.points.map(([x]) => x));
  const ys = chart.series.flatMap((series) => series.points.map(([, y]) => y));
  const low = Math.min(0.9, ...ys);
  return { x: [0, Math.max(...xs, 0.01)], y: [low < 0.5 ? 0 : Math.floor(low * 10) / 10, 1] };
}

function barSpans(chart) {
  const top = Math.max(1, ...chart.bins.map((bin) => bin[2]));
  return { x: [chart.bins[0][0], chart.bins.at(-1)[1]], y: [0, top] };
}

function ticks([low, high]) {
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= rough * 0.999);
  const found = [];
  for (let tick = Math.ceil(low / step - 1e-9) * step; tick <= high + 1e-9; tick += step) {
    found.push(tick);
  }
  return found;
}

const short = (value) => String(Math.round(value * 1e4) / 1e4);
