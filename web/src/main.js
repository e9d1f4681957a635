// The report page: figures, filters, images, and one image large with its hands in 3D.

import { chartOf, tableOf } from "./charts.js";
import { Detail } from "./detail.js";
import { h } from "./dom.js";
import { filtersOf } from "./filters.js";
import { Grid } from "./grid.js";
import { images, report } from "./store.js";

const THEMES = ["auto", "light", "dark"];
const main = document.querySelector("main");

function header() {
  const theme = h(
    "button",
    {
      type: "button",
      class: "theme",
      onclick: () => {
        const next = THEMES[(THEMES.indexOf(theme.dataset.theme) + 1) % THEMES.length];
        theme.dataset.theme = next;
        theme.textContent = `Theme: ${next}`;
        if (next === "auto") delete document.documentElement.dataset.theme;
        else document.documentElement.dataset.theme = next;
      },
      "data-theme": "auto",
    },
    "Theme: auto",
  );
  const facts = Object.entries(report.facts).map(([name, value]) => `${name} ${value}`);
  const when = new Date(report.created).toLocaleString(undefined, {
    dateStyle: "medium",
    timeStyle: "short",
  });
  return h(
    "header",
    { class: "top" },
    h("div", {}, h("h1", {}, report.title), h("p", {}, [...facts, when].join(" · "))),
    theme,
  );
}

function tiles() {
  return h(
    "dl",
    { class: "tiles" },
    ...report.tiles.map((tile) =>
      h(
        "div",
        {},
        h("dt", {}, tile.label),
        h("dd", {}, tile.value, tile.note ? h("small", {}, tile.note) : null),
      ),
    ),
  );
}

function figures() {
  return [
    h("div", { class: "charts" }, ...report.charts.map(chartOf)),
    h(
      "details",
      { class: "figures" },
      h("summary", {}, "Tables: by side, size, source and number of hands"),
      h("div", { class: "tables" }, ...report.tables.map(tableOf)),
    ),
  ];
}

const list = h("ul", { class: "grid" });
const count = h("p", { class: "count", role: "status" });
let shown = [];
const detail = new Detail((image) => grid.focus(image));
const grid = new Grid(list, (image) => detail.open(image, shown));
const kept = images.filter((image) => image.shown).length;
const { form, update } = filtersOf((found) => {
  shown = found;
  grid.show(found);
  const rest = kept < images.length ? ` (the worst of ${images.length})` : "";
  count.textContent = `${found.length} of ${kept} images${rest}`;
});

main.append(
  header(),
  tiles(),
  ...figures(),
  h("section", { "aria-label": "Images" }, h("h2", {}, "Images"), form, count, list),
);
update();

function openFromAddress() {
  const number = Number(location.hash.match(/^#image-(\d+)$/)?.[1] ?? NaN);
  if (images[number]?.shown) detail.open(images[number], shown);
}
addEventListener("hashchange", openFromAddress);
openFromAddress();
