// One image large, and its hands in 3D.

import { h, SIDES } from "./dom.js";
import { faultsOf } from "./filters.js";
import { nameOf } from "./grid.js";
import { draw, label } from "./overlay.js";
import { handsOf, pictureOf, report } from "./store.js";
import { Viewer } from "./viewer.js";

const TOGGLES = [
  ["mesh", "Mesh", "m"],
  ["skeleton", "Skeleton", "s"],
  ["boxes", "Boxes", "b"],
  ["skin", "Skin colours", "c"],
  ...(report.hasTruth ? [["truth", "Truth", "t"]] : []),
  ...(report.methods.length > 1 ? [["other", report.methods[1], "o"]] : []),
];

export class Detail {
  /** @param closed is called with the image that was seen last. */
  constructor(closed) {
    this.show = { mesh: true, skeleton: true, boxes: true, skin: false, truth: true, other: true, chosen: null };
    this.canvas = h("canvas", { class: "photo", role: "img", "aria-label": "photograph with hands" });
    this.viewCanvas = h("canvas", {
      class: "view",
      tabindex: 0,
      role: "application",
      "aria-label": "hands in 3D: drag or arrow keys turn them, wheel, pinch, + and - zoom, 0 resets",
    });
    this.heading = h("h2", { id: "detail-name" });
    this.place = h("span", { class: "place" });
    this.toggles = h("div", { class: "toggles", role: "group", "aria-label": "What is drawn" });
    this.chooser = h("div", { class: "chooser", role: "group", "aria-label": "Hand in 3D" });
    this.facts = h("div", { class: "facts" });
    this.empty = h("p", { class: "empty" });
    for (const [name, text, key] of TOGGLES) this.toggles.append(this.#toggle(name, text, key));
    const button = (text, name, action) =>
      h("button", { type: "button", "aria-label": name, title: name, onclick: action }, text);
    this.dialog = h(
      "dialog",
      { "aria-labelledby": "detail-name" },
      h(
        "header",
        {},
        this.heading,
        this.place,
        button("‹", "previous image (left arrow)", () => this.step(-1)),
        button("›", "next image (right arrow)", () => this.step(1)),
        button("×", "close (Escape)", () => this.dialog.close()),
      ),
      this.toggles,
      h(
        "div",
        { class: "panes" },
        h("div", { class: "pane photo-pane" }, this.canvas),
        h(
          "div",
          { class: "pane view-pane" },
          h("div", { class: "stage" }, this.viewCanvas, this.empty),
          h(
            "div",
            { class: "view-buttons" },
            button("↺", "turn left", () => this.viewer?.turn(-0.35, 0)),
            button("↻", "turn right", () => this.viewer?.turn(0.35, 0)),
            button("+", "nearer", () => this.viewer?.zoom(0.8)),
            button("−", "farther", () => this.viewer?.zoom(1.25)),
            button("⌂", "view of the camera (0)", () => this.viewer?.reset()),
          ),
        ),
      ),
      this.chooser,
      this.facts,
    );
    this.dialog.addEventListener("keydown", (event) => this.#key(event));
    this.dialog.addEventListener("close", () => {
      history.replaceState(null, "", location.pathname + location.search);
      closed(this.image);
    });
    new ResizeObserver(() => this.#draw()).observe(this.canvas.parentElement);
    document.body.append(this.dialog);
  }

  /** Look at an image; `images` are its neighbours. */
  async open(image, images) {
    this.image = image;
    this.images = images;
    this.show.chosen = null;
    history.replaceState(null, "", `#image-${image.number}`);
    if (!this.dialog.open) this.dialog.showModal();
    this.#openViewer();
    this.heading.textContent = nameOf(image);
    this.place.textContent = `${images.indexOf(image) + 1} of ${images.length}`;
    const [picture, details] = await Promise.all([
      pictureOf(image.number),
      handsOf(image.number),
    ]);
    if (this.image !== image) {
      picture.close();
      return;
    }
    this.picture?.close();
    Object.assign(this, { picture, details, drawnImage: image });
    this.empty.hidden = image.hands.length > 0 && this.viewer;
    this.empty.textContent = image.hands.length
      ? "This browser shows no 3D: WebGL is switched off."
      : "No hand was found in this image.";
    this.#choices();
    this.#facts();
    this.#draw();
    this.viewer?.show(details.hands, image.hands, this.show);
    this.dialog.dataset.shown = image.number;
  }

  /** Go to the next image, or to one before. */
  step(by) {
    const next = this.images[this.images.indexOf(this.image) + by];
    if (next) this.open(next, this.images);
  }

  #openViewer() {
    if (this.viewer !== undefined) return;
    try {
      this.viewer = new Viewer(this.viewCanvas);
    } catch {
      this.viewer = null;
    }
  }

  #toggle(name, text, key) {
    const input = h("input", {
      type: "checkbox",
      name,
      checked: this.show[name],
      onchange: () => {
        this.show[name] = input.checked;
        this.#redraw();
      },
    });
    return h("label", { class: name, title: `key ${key}` }, input, h("span", {}, text));
  }

  #choices() {
    const choice = (number, text) =>
      h(
        "button",
        {
          type: "button",
          "aria-pressed": String(this.show.chosen === number),
          onclick: () => {
            this.show.chosen = number;
            this.#choices();
            this.#draw();
            this.viewer?.show(this.details.hands, this.image.hands, this.show);
          },
        },
        text,
      );
    const hands = this.image.hands.map((row, i) => choice(i, label(row)));
    this.chooser.replaceChildren(...(hands.length > 1 ? [choice(null, "all hands"), ...hands] : []));
  }

  #facts() {
    const columns = ["hand", "score", "side", "distance", "length", "read off"];
    if (report.hasTruth) columns.push("against the truth");
    const rows = this.image.hands.map((row, i) => {
      const cells = [
        row.id ? `#${row.id}` : String(i + 1),
        row.score.toFixed(3),
        `${SIDES[row.side]}, ${(100 * row.p).toFixed(0)} %`,
        `${row.z.toFixed(2)} m`,
        lengthOf(this.details.hands[i]),
        row.refined ? "its own crop" : "the whole image",
      ];
      if (report.hasTruth) cells.push(judgementOf(row));
      return h("tr", {}, ...cells.map((cell) => h("td", {}, cell)));
    });
    const [fx] = this.image.K;
    const words = [
      `${this.image.w} × ${this.image.h} pixels`,
      `focal length ${fx.toFixed(0)} px`,
      `${this.image.ms.toFixed(0)} ms`,
      ...faultsOf(this.image),
    ];
    this.facts.replaceChildren(
      rows.length
        ? h(
            "table",
            {},
            h("thead", {}, h("tr", {}, ...columns.map((name) => h("th", { scope: "col" }, name)))),
            h("tbody", {}, ...rows),
          )
        : "",
      h("p", {}, words.join(" · ")),
    );
  }

  #redraw() {
    this.#draw();
    this.viewer?.show(this.details.hands, this.image.hands, this.show, true);
  }

  #draw() {
    if (!this.picture || this.drawnImage !== this.image) return;
    const pane = this.canvas.parentElement;
    const fit = Math.min(pane.clientWidth / this.image.w, pane.clientHeight / this.image.h);
    if (!fit) return;
    this.canvas.style.width = `${Math.floor(fit * this.image.w)}px`;
    this.canvas.width = Math.max(1, Math.round(fit * this.image.w * Math.min(devicePixelRatio, 2)));
    draw(this.canvas, this.image, this.picture, this.details, this.show);
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const toggle = TOGGLES.find(([, , key]) => key === event.key.toLowerCase());
    if (event.key === "ArrowLeft") this.step(-1);
    else if (event.key === "ArrowRight") this.step(1);
    else if (toggle) this.toggles.querySelector(`[name=${toggle[0]}]`).click();
    else return;
    event.preventDefault();
  }
}

/** Return how long a hand is from its wrist to the tip of its middle finger, along the bones. */
function lengthOf(hand) {
  if (!hand.j) return "–";
  const chain = [0, 9, 10, 11, 12];
  let length = 0;
  for (let i = 1; i < chain.length; i++) {
    const [from, to] = [chain[i - 1], chain[i]];
    length += Math.hypot(...[0, 1, 2].map((k) => hand.j[3 * to + k] - hand.j[3 * from + k]));
  }
  return `${(100 * length).toFixed(1)} cm`;
}

function judgementOf(row) {
  if (row.true === undefined) return "not labelled";
  if (row.true === -1) return "no such hand";
  if (row.true === -2) return "does not count";
  const error = row.err === undefined ? "found" : `${(100 * row.err).toFixed(1)} % of its size off`;
  return row.sideOk ? error : `${error}, wrong side`;
}
