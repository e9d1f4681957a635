// Meshes as the camera of the photograph saw them, to be laid over it.

import { Group, PerspectiveCamera, Scene, WebGLRenderer } from "three";
import { empty, light, skinOf } from "./meshes.js";

const [NEAR, FAR] = [0.02, 100];
let view = null;

/**
 * Return a canvas with the meshes of hands, of `width` by `height` pixels; null without WebGL.
 *
 * @param image row of the report, with its intrinsics.
 * @param hands pairs of a hand of `handsOf` and its row.
 * @param skin whether in the colours of the skin.
 */
export function projected(image, hands, skin, width, height) {
  view ??= viewOrNothing();
  if (!view.renderer) return null;
  const { renderer, scene, camera, group } = view;
  for (const [hand, row] of hands) group.add(skinOf(hand, row, { skin, opacity: 1 }));
  const [fx, fy, cx, cy] = image.K;
  const edges = [-(cx + 0.5) / fx, (image.w - 0.5 - cx) / fx, (cy + 0.5) / fy, (cy + 0.5 - image.h) / fy];
  camera.projectionMatrix.makePerspective(...edges.map((edge) => edge * NEAR), NEAR, FAR);
  camera.projectionMatrixInverse.copy(camera.projectionMatrix).invert();
  renderer.setSize(width, height, false);
  renderer.render(scene, camera);
  empty(group);
  return renderer.domElement;
}

function viewOrNothing() {
  try {
    const options = { antialias: true, alpha: true, preserveDrawingBuffer: true };
    const renderer = new WebGLRenderer(options);
    const [scene, camera, group] = [new Scene(), new PerspectiveCamera(), new Group()];
    group.rotation.x = Math.PI; // Optical frame (y down, z forward) to y up.
    scene.add(group);
    light(scene, camera);
    return { renderer, scene, camera, group };
  } catch {
    return { renderer: null };
  }
}
