// The images as cards; pictures are decoded when they come near the window, and let go behind it.

import { h } from "./dom.js";
import { faultsOf } from "./filters.js";
import { draw } from "./overlay.js";
import { handsOf, pictureOf } from "./store.js";

const SHOW = { mesh: true, skeleton: true, boxes: false, truth: true, other: false, chosen: null };
const NEAR = "600px";

export class Grid {
  /** @param open is called with an image that is to be looked at. */
  constructor(element, open) {
    this.element = element;
    this.open = open;
    this.cards = new Map();
    this.watcher = new IntersectionObserver((entries) => entries.forEach(near), {
      rootMargin: NEAR,
    });
  }

  /** Show these images in this order. */
  show(images) {
    const cards = images.map((image) => {
      if (!this.cards.has(image.number)) {
        const card = cardOf(image, () => this.open(image));
        this.cards.set(image.number, card);
        this.watcher.observe(card);
      }
      return this.cards.get(image.number);
    });
    this.element.replaceChildren(...cards);
  }

  /** Put the focus onto an image's card. */
  focus(image) {
    this.cards.get(image.number)?.querySelector("button").focus();
  }
}

/** Return what is said of an image under its picture. */
export function wordsOf(image) {
  const count = image.hands.length;
  const scores = image.hands.map((hand) => hand.score.toFixed(2)).join(", ");
  return count ? `${count} hand${count > 1 ? "s" : ""} · ${scores}` : "no hand";
}

/** Return the name of an image, with its time in a video. */
export const nameOf = (image) =>
  image.t === undefined ? image.name : `${image.name} · ${image.t.toFixed(2)} s`;

function cardOf(image, open) {
  const faults = faultsOf(image);
  const canvas = h("canvas", { "aria-hidden": "true", width: 1, height: 1 });
  const card = h(
    "li",
    { class: "card" },
    h(
      "button",
      {
        type: "button",
        onclick: open,
        "aria-label": [nameOf(image), wordsOf(image), ...faults].join(", "),
      },
      h("span", { class: "picture", style: `aspect-ratio: ${image.w} / ${image.h}` }, canvas),
      h("span", { class: "name", title: nameOf(image) }, nameOf(image)),
      h(
        "span",
        { class: "words" },
        wordsOf(image),
        ...faults.map((fault) => h("span", { class: "fault" }, fault)),
      ),
    ),
  );
  card.image = image;
  card.canvas = canvas;
  return card;
}

async function near({ target: card, isIntersecting }) {
  if (!isIntersecting) {
    card.wanted = false;
    card.canvas.width = card.canvas.height = 1;
    return;
  }
  card.wanted = true;
  const { number } = card.image;
  const [picture, details] = await Promise.all([pictureOf(number), handsOf(number)]);
  const { clientWidth, clientHeight } = card.canvas.parentElement;
  if (card.wanted && clientWidth && clientHeight) {
    // A picture fills the width or, if it is tall, the height.
    const wide = Math.min(clientWidth, (clientHeight * card.image.w) / card.image.h);
    card.canvas.width = Math.max(1, Math.round(wide * Math.min(devicePixelRatio, 2)));
    draw(card.canvas, card.image, picture, details, SHOW);
    card.dataset.drawn = "";
  }
  picture.close();
}
