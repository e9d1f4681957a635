// Which images are shown, and in which order.

import { h } from "./dom.js";
import { images, report } from "./store.js";

const lowest = (image) => Math.min(...image.hands.map((hand) => hand.score));
const byNumber = (one, two) => one.number - two.number;
const descending = (value) => (one, two) => value(two) - value(one) || byNumber(one, two);

export const ORDERS = {
  worst: ["worst first", descending((image) => image.bad)],
  best: ["best first", (one, two) => one.bad - two.bad || byNumber(one, two)],
  read: ["as read", byNumber],
  score: ["lowest score first", (one, two) => lowest(one) - lowest(two) || byNumber(one, two)],
  slow: ["slowest first", descending((image) => image.ms)],
  hands: ["most hands first", descending((image) => image.hands.length)],
};

const SIDES = {
  any: ["any", () => true],
  left: ["a left hand", (image) => image.hands.some((hand) => hand.side === 0)],
  right: ["a right hand", (image) => image.hands.some((hand) => hand.side === 1)],
  two: ["two or more hands", (image) => image.hands.length > 1],
  none: ["no hand", (image) => image.hands.length === 0],
};

const FAULTS = {
  any: ["any", () => true],
  wrong: ["something wrong", (image) => faultsOf(image).length > 0],
  missed: ["a missed hand", (image) => image.missed?.length > 0],
  false: ["a false find", (image) => image.false > 0],
  side: ["a wrong side", (image) => image.hands.some((hand) => hand.sideOk === 0)],
};

/** Return what is wrong with an image, in words. */
export function faultsOf(image) {
  if (image.true === undefined) return [];
  const wrongSides = image.hands.filter((hand) => hand.sideOk === 0).length;
  const faults = [];
  if (image.missed.length) faults.push(`${image.missed.length} missed`);
  if (image.false) faults.push(`${image.false} false`);
  if (wrongSides) faults.push(`wrong side${wrongSides > 1 ? ` × ${wrongSides}` : ""}`);
  return faults;
}

/** Return the form of the filters; `changed` is called with the images to show. */
export function filtersOf(changed) {
  const state = { order: "worst", side: "any", fault: "any", source: "all", text: "", low: 0, high: 1 };
  const update = () => changed(chosen(state));
  const set = (name, convert = (value) => value) => (event) => {
    state[name] = convert(event.target.value);
    update();
  };
  const select = (label, name, options) =>
    h(
      "label",
      {},
      h("span", {}, label),
      h(
        "select",
        { onchange: set(name), name },
        ...options.map(([value, text]) => h("option", { value }, text)),
      ),
    );
  const words = (table) => Object.entries(table).map(([value, [text]]) => [value, text]);
  const shown = h("output", {}, "0 to 1");
  const range = (name, label, value) =>
    h("input", {
      type: "range",
      name,
      min: 0,
      max: 1,
      step: 0.01,
      value,
      "aria-label": label,
      oninput: (event) => {
        state[name] = Number(event.target.value);
        shown.value = `${state.low} to ${state.high}`;
        update();
      },
    });
  const form = h(
    "form",
    { class: "filters", "aria-label": "Filters", onsubmit: (event) => event.preventDefault() },
    select("Order", "order", words(ORDERS)),
    select("Hands", "side", words(SIDES)),
    report.hasTruth ? select("Faults", "fault", words(FAULTS)) : null,
    report.sources.length > 1
      ? select("Source", "source", [["all", "all"], ...report.sources.map((name, i) => [String(i), name])])
      : null,
    h(
      "fieldset",
      {},
      h("legend", {}, "Score ", shown),
      h("div", {}, range("low", "lowest score", 0), range("high", "highest score", 1)),
    ),
    h(
      "label",
      {},
      h("span", {}, "Name"),
      h("input", { type: "search", name: "text", placeholder: "part of a file name", oninput: set("text") }),
    ),
    h(
      "button",
      {
        type: "button",
        onclick: () => {
          form.reset();
          Object.assign(state, { order: "worst", side: "any", fault: "any", source: "all", text: "", low: 0, high: 1 });
          shown.value = "0 to 1";
          update();
        },
      },
      "Reset",
    ),
  );
  return { form, update };
}

function chosen(state) {
  const text = state.text.toLowerCase();
  const isOpen = state.low <= 0 && state.high >= 1;
  return images
    .filter(
      (image) =>
        image.shown &&
        SIDES[state.side][1](image) &&
        FAULTS[state.fault][1](image) &&
        (state.source === "all" || image.s === Number(state.source)) &&
        (!text || image.name.toLowerCase().includes(text)) &&
        (isOpen ||
          image.hands.some((hand) => hand.score >= state.low && hand.score <= state.high)),
    )
    .sort(ORDERS[state.order][1]);
}
