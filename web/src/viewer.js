// The hands of an image in 3D, to turn and zoom: three.js.

import {
  Box3,
  Group,
  PerspectiveCamera,
  Quaternion,
  Scene,
  Sphere,
  Vector3,
  WebGLRenderer,
} from "three";
import { OrbitControls } from "three/examples/jsm/controls/OrbitControls.js";
import { empty, light, skeletonOf, skinOf } from "./meshes.js";

const FIELD_OF_VIEW = 35;
const KEY_TURN = Math.PI / 24;
const UP = new Vector3(0, 1, 0);

export class Viewer {
  /** @param canvas that is drawn on; it is focusable, and arrow keys turn the hands. */
  constructor(canvas) {
    this.canvas = canvas;
    this.renderer = new WebGLRenderer({ canvas, antialias: true, alpha: true });
    this.renderer.setPixelRatio(Math.min(devicePixelRatio, 2));
    this.scene = new Scene();
    this.camera = new PerspectiveCamera(FIELD_OF_VIEW, 1, 0.005, 100);
    light(this.scene, this.camera);
    this.hands = new Group();
    this.hands.rotation.x = Math.PI; // Optical frame (y down, z forward) to y up.
    this.scene.add(this.hands);
    this.controls = new OrbitControls(this.camera, canvas);
    this.controls.minDistance = 0.03;
    this.controls.maxDistance = 20;
    this.controls.addEventListener("change", () => this.render());
    canvas.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.#resize()).observe(canvas.parentElement);
  }

  /**
   * Show hands.
   *
   * @param hands of `handsOf`.
   * @param rows of the report, one a hand.
   * @param options {mesh, skeleton, skin} booleans, `chosen`, the number of a hand or null.
   * @param keepView whether the camera stays.
   */
  show(hands, rows, options, keepView = false) {
    empty(this.hands);
    // The bones inside are seen through the skin.
    const look = { skin: options.skin, opacity: options.skeleton ? 0.55 : 1 };
    hands.forEach((hand, i) => {
      if (!hand.vertices || (options.chosen !== null && options.chosen !== i)) return;
      if (options.mesh) this.hands.add(skinOf(hand, rows[i], look));
      if (options.skeleton) this.hands.add(skeletonOf(hand.j));
    });
    if (!keepView) {
      this.#resize();
      this.reset();
    }
    this.render();
  }

  /** Look as the camera of the photograph did, at the middle of the hands. */
  reset() {
    this.hands.updateMatrixWorld(true);
    const box = new Box3().setFromObject(this.hands);
    if (box.isEmpty()) return;
    const sphere = box.getBoundingSphere(new Sphere());
    const narrow = Math.min(1, this.camera.aspect);
    const angle = Math.atan(Math.tan((FIELD_OF_VIEW * Math.PI) / 360) * narrow);
    const distance = (1.02 * sphere.radius) / Math.sin(angle);
    const fromCamera = sphere.center.clone().normalize();
    this.controls.target.copy(sphere.center);
    this.camera.position.copy(sphere.center).addScaledVector(fromCamera, -distance);
    this.controls.update();
    this.render();
  }

  /** Turn around the hands: radians to the right and up. */
  turn(across, upward) {
    const offset = this.camera.position.clone().sub(this.controls.target);
    const side = new Vector3().crossVectors(UP, offset).normalize();
    const polar = offset.angleTo(UP);
    const limited = Math.min(Math.max(polar + upward, 0.05), Math.PI - 0.05) - polar;
    offset.applyQuaternion(new Quaternion().setFromAxisAngle(side, limited));
    offset.applyQuaternion(new Quaternion().setFromAxisAngle(UP, across));
    this.camera.position.copy(this.controls.target).add(offset);
    this.controls.update();
    this.render();
  }

  /** Come nearer (below 1) or go away. */
  zoom(factor) {
    const offset = this.camera.position.clone().sub(this.controls.target);
    this.camera.position.copy(this.controls.target).addScaledVector(offset, factor);
    this.controls.update();
    this.render();
  }

  render() {
    this.renderer.render(this.scene, this.camera);
    const { x, y, z } = this.camera.position;
    this.canvas.dataset.camera = [x, y, z].map((value) => value.toFixed(4)).join(" ");
  }

  #key(event) {
    const turns = {
      ArrowLeft: [-KEY_TURN, 0],
      ArrowRight: [KEY_TURN, 0],
      ArrowUp: [0, -KEY_TURN],
      ArrowDown: [0, KEY_TURN],
    };
    if (turns[event.key]) this.turn(...turns[event.key]);
    else if (event.key === "+" || event.key === "=") this.zoom(0.9);
    else if (event.key === "-") this.zoom(1 / 0.9);
    else if (event.key === "0") this.reset();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #resize() {
    const { clientWidth, clientHeight } = this.canvas.parentElement;
    if (!clientWidth || !clientHeight) return;
    this.renderer.setSize(clientWidth, clientHeight, false);
    this.camera.aspect = clientWidth / clientHeight;
    this.camera.updateProjectionMatrix();
    this.render();
  }
}
