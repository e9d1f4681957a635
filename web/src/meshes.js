// Hands as three.js objects, in the camera's optical frame.

import {
  BufferAttribute,
  BufferGeometry,
  Color,
  CylinderGeometry,
  DirectionalLight,
  Group,
  HemisphereLight,
  Mesh,
  MeshStandardMaterial,
  SphereGeometry,
  SRGBColorSpace,
  Vector3,
} from "three";
import { FINGERS, SIDE_COLORS } from "./colors.js";
import { facesOf, report } from "./store.js";

const UP = new Vector3(0, 1, 0);

/** Return the mesh of a hand; `look` {skin, opacity}: in its own colours, and how opaque. */
export function skinOf(hand, row, look) {
  const geometry = new BufferGeometry();
  geometry.setAttribute("position", new BufferAttribute(hand.vertices, 3));
  geometry.setIndex(new BufferAttribute(facesOf(row.side), 1));
  geometry.computeVertexNormals();
  const material = new MeshStandardMaterial({ roughness: 0.85, metalness: 0 });
  if (look.skin) {
    const linear = new Float32Array(hand.colors.length);
    const color = new Color();
    for (let i = 0; i < linear.length; i += 3) {
      color.setRGB(hand.colors[i], hand.colors[i + 1], hand.colors[i + 2], SRGBColorSpace);
      color.toArray(linear, i);
    }
    geometry.setAttribute("color", new BufferAttribute(linear, 3));
    material.vertexColors = true;
  } else {
    material.color.set(SIDE_COLORS[row.side]);
  }
  if (look.opacity < 1) {
    material.transparent = true;
    material.opacity = look.opacity;
    material.depthWrite = false;
  }
  const mesh = new Mesh(geometry, material);
  mesh.renderOrder = 1;
  return mesh;
}

/** Return the skeleton of a hand: 21 balls and 20 sticks in the fingers' colours. */
export function skeletonOf(joints) {
  const group = new Group();
  const at = (i) => new Vector3(joints[3 * i], joints[3 * i + 1], joints[3 * i + 2]);
  const length = at(0).distanceTo(at(9));
  const radius = length / 34;
  const material = (color) => new MeshStandardMaterial({ color, roughness: 0.6 });
  for (let i = 0; i < 21; i++) {
    const ball = new Mesh(
      new SphereGeometry(1.6 * radius, 14, 10),
      material(i ? FINGERS[(i - 1) >> 2] : "#ffffff"),
    );
    ball.position.copy(at(i));
    group.add(ball);
  }
  report.bones.forEach(([from, to], bone) => {
    const [start, end] = [at(from), at(to)];
    const span = end.clone().sub(start);
    const stick = new Mesh(
      new CylinderGeometry(radius, radius, span.length(), 10),
      material(FINGERS[bone >> 2]),
    );
    stick.position.copy(start).addScaledVector(span, 0.5);
    stick.quaternion.setFromUnitVectors(UP, span.normalize());
    group.add(stick);
  });
  return group;
}

/** Take away everything in a group, and free what it needs on the GPU. */
export function empty(group) {
  group.traverse((one) => {
    one.geometry?.dispose();
    one.material?.dispose();
  });
  group.clear();
}

/** Add the lights of all views to a camera and its scene. */
export function light(scene, camera) {
  const key = new DirectionalLight(0xffffff, 2.2);
  key.position.set(-0.6, 0.9, 1); // Above the shoulder, however the hands are turned.
  camera.add(key);
  scene.add(camera, new HemisphereLight(0xffffff, 0x8d8a86, 1.6));
}
