// Hands drawn over their photograph, on a canvas.

import { FINGERS, OTHER, SIDE_COLORS, TRUTH } from "./colors.js";
import { SIDES } from "./dom.js";
import { projected } from "./projection.js";
import { report } from "./store.js";

const OPACITY = 0.75;

/**
 * Draw an image and what was found in it.
 *
 * @param canvas that is filled, `width` wide in its own pixels.
 * @param image row of the report.
 * @param picture decoded.
 * @param details of `handsOf`.
 * @param show {mesh, skin, skeleton, boxes, truth, other} booleans, and `chosen`, the number of a hand
 *     that alone is drawn, or null.
 */
export function draw(canvas, image, picture, details, show) {
  const scale = canvas.width / image.w;
  canvas.height = Math.max(1, Math.round(image.h * scale));
  const context = canvas.getContext("2d");
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  const toCanvas = (x, y) => [(x + 0.5) * scale, (y + 0.5) * scale];
  const thin = Math.max(1, canvas.width / 500);
  const drawn = details.hands.map((hand, i) => [hand, image.hands[i], i]);
  const chosen = drawn.filter(([, , i]) => show.chosen === null || show.chosen === i).reverse();
  if (show.mesh) {
    const meshes = chosen.filter(([hand]) => hand.vertices);
    const layer =
      meshes.length && projected(image, meshes, show.skin, canvas.width, canvas.height);
    if (layer) {
      context.globalAlpha = OPACITY;
      context.drawImage(layer, 0, 0);
      context.globalAlpha = 1;
    }
  }
  if (show.truth) for (const hand of details.truth ?? []) bones(context, hand.k, toCanvas, thin, TRUTH);
  if (show.other) for (const hand of details.other ?? []) bones(context, hand.k, toCanvas, thin, OTHER);
  if (show.skeleton) for (const [hand] of chosen) bones(context, hand.k, toCanvas, thin);
  if (show.boxes) {
    for (const [, row] of chosen) box(context, row, toCanvas, thin, canvas);
    if (show.truth) missed(context, image, details, toCanvas, thin, canvas);
  }
}

function bones(context, keypoints, toCanvas, thin, color) {
  const points = Array.from({ length: 21 }, (_, i) =>
    toCanvas(keypoints[2 * i], keypoints[2 * i + 1]),
  );
  const xs = points.map((point) => point[0]);
  const ys = points.map((point) => point[1]);
  const size = Math.max(Math.max(...xs) - Math.min(...xs), Math.max(...ys) - Math.min(...ys));
  const width = Math.min(2.2 * thin, Math.max(1, size / 45));
  context.lineWidth = color ? width * 0.8 : width;
  context.lineCap = "round";
  context.setLineDash(color ? [3 * width, 2.2 * width] : []);
  report.bones.forEach(([from, to], bone) => {
    context.strokeStyle = color ?? FINGERS[bone >> 2];
    context.beginPath();
    context.moveTo(...points[from]);
    context.lineTo(...points[to]);
    context.stroke();
  });
  context.setLineDash([]);
  if (color) return;
  points.forEach(([x, y], i) => {
    context.beginPath();
    context.arc(x, y, width * 1.15, 0, 7);
    context.fillStyle = i ? FINGERS[(i - 1) >> 2] : "#ffffff";
    context.fill();
  });
}

function box(context, row, toCanvas, thin, canvas) {
  frame(context, row.box, toCanvas, thin, canvas, SIDE_COLORS[row.side], label(row));
}

/** Return what stands at a hand's box. */
export function label(row) {
  return `${row.id ? `#${row.id} ` : ""}${SIDES[row.side]} ${row.score.toFixed(2)}`;
}

function missed(context, image, details, toCanvas, thin, canvas) {
  for (const hand of details.truth ?? []) {
    if (!image.missed?.includes(hand.n)) continue;
    const xs = hand.k.filter((_, i) => i % 2 === 0);
    const ys = hand.k.filter((_, i) => i % 2 === 1);
    const corners = [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
    frame(context, corners, toCanvas, thin, canvas, TRUTH, "missed");
  }
}

function frame(context, corners, toCanvas, thin, canvas, color, text) {
  const [x0, y0] = toCanvas(corners[0], corners[1]);
  const [x1, y1] = toCanvas(corners[2], corners[3]);
  context.strokeStyle = color;
  context.lineWidth = 1.5 * thin;
  context.strokeRect(x0, y0, x1 - x0, y1 - y0);
  const size = Math.max(11, Math.min(26, canvas.width / 32));
  context.font = `600 ${size}px system-ui, sans-serif`;
  const width = context.measureText(text).width + 0.7 * size;
  const left = Math.max(0, Math.min(x0 - 0.75 * thin, canvas.width - width));
  const top = Math.max(0, Math.min(y0 - 1.35 * size, canvas.height - 1.35 * size));
  context.fillStyle = color;
  context.fillRect(left, top, width, 1.35 * size);
  context.fillStyle = "#10151c";
  context.fillText(text, left + 0.35 * size, top + size);
}
