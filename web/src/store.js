// The data of the page. Pictures and meshes arrive while the page is still being read.

export const report = JSON.parse(document.getElementById("report-data").textContent);
export const images = report.images.map((image, number) => ({ ...image, number }));
export const faces = new Uint16Array(bytes(report.faces).buffer);

/** Return the bytes of a text in base64. */
function bytes(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

/** Return the text of an element once the page has it whole. */
async function textOf(id) {
  for (;;) {
    const loading = document.readyState === "loading";
    const element = document.getElementById(id);
    if (element && (element.nextElementSibling || !loading)) return element.textContent;
    if (!loading) throw new Error(`The page is not complete: ${id} is missing.`);
    await new Promise((done) => setTimeout(done, 100));
  }
}

/** Return the picture of an image, decoded. */
export async function pictureOf(number) {
  const jpeg = bytes(await textOf(`picture-${number}`));
  return createImageBitmap(new Blob([jpeg], { type: "image/jpeg" }));
}

/** Return the hands of an image, its truth and what the other method found. */
export async function handsOf(number) {
  const details = JSON.parse(await textOf(`hands-${number}`));
  for (const hand of [...details.hands, ...(details.other ?? [])]) unpack(hand);
  return details;
}

/** Replace a hand's packed arrays: `vertices` in metres, `colors` sRGB in 0 … 1. */
function unpack(hand) {
  if (!hand.v) return;
  const steps = new Uint16Array(bytes(hand.v).buffer);
  hand.vertices = Float32Array.from(steps, (step, i) => step * hand.step + hand.origin[i % 3]);
  hand.colors = Float32Array.from(bytes(hand.c), (value) => value / 255);
  delete hand.v;
  delete hand.c;
}

/** Return the faces of a hand, counter-clockwise seen from outside. */
export function facesOf(side) {
  if (side === 1) return faces;
  const turned = new Uint16Array(faces);
  for (let i = 0; i < turned.length; i += 3) [turned[i], turned[i + 2]] = [faces[i + 2], faces[i]];
  return turned;
}
