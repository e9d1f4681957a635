"""Writes tiny data sets in the exact on-disk formats of the published ones."""

import json
import pickle

import cv2
import numpy as np
from batches import random_hands

SIZE = 64
FOCAL = 70.0
CAMERA = [[FOCAL, 0.0, 31.5], [0.0, FOCAL, 31.5], [0.0, 0.0, 1.0]]


def two_hands():
    """A right and a left hand, (2, 21, 3) metres in the camera frame."""
    return random_hands(2, SIZE)["joints"].numpy().astype(np.float64)


def pixels(joints):
    return joints[..., :2] / joints[..., 2:] * FOCAL + 31.5


def write_image(path, value=120):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((SIZE, SIZE, 3), value, np.uint8)
    image[..., 2] = 200  # red in OpenCV's order
    assert cv2.imwrite(str(path), image)


def write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_freihand(folder, joints):
    """Two unique images with two versions each, and one evaluation image."""
    for split, unique, versions in (("training", 2, 2), ("evaluation", 1, 1)):
        write_json(folder / f"{split}_K.json", [CAMERA] * unique)
        write_json(folder / f"{split}_xyz.json", [joints[0].tolist()] * unique)
        write_json(folder / f"{split}_scale.json", [0.03] * unique)
        write_json(folder / f"{split}_mano.json", [[[0.0] * 61]] * unique)
        for number in range(unique * versions):
            write_image(folder / split / "rgb" / f"{number:08d}.jpg", 60 + 40 * number)
    write_json(folder / "evaluation_verts.json", [np.zeros((778, 3)).tolist()])
    for number in range(2):
        write_image(folder / "training" / "mask" / f"{number:08d}.jpg", 255)


HO3D_FROM_OURS = [0, 5, 6, 7, 9, 10, 11, 17, 18, 19, 13, 14, 15, 1, 2, 3, 4, 8, 12, 16, 20]
"""Wrist; index, middle, little, ring, thumb joints; tips of thumb, index, middle, ring, little."""


def write_ho3d(folder, joints, suffix=".png"):
    opengl = (joints[0] * [1, -1, -1])[HO3D_FROM_OURS]
    frames = {"train": ["ABF10/0000", "ABF10/0001"], "evaluation": ["SM1/0007"]}
    for split, names in frames.items():
        (folder / split).mkdir(parents=True)
        (folder / f"{split}.txt").write_text("\n".join(names) + "\n")
        for name in names:
            sequence, number = name.split("/")
            write_image(folder / split / sequence / "rgb" / f"{number}{suffix}")
            meta = {"camMat": np.array(CAMERA), "objName": "006_mustard_bottle"}
            if split == "train":
                meta |= {
                    "handJoints3D": opengl,
                    "handPose": np.zeros(48),
                    "handTrans": np.zeros(3),
                    "handBeta": np.zeros(10),
                }
            else:
                meta |= {"handJoints3D": opengl[0], "handBoundingBox": [1, 2, 60, 61]}
            path = folder / split / sequence / "meta" / f"{number}.pkl"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(pickle.dumps(meta, protocol=2))
    write_json(folder / "evaluation_xyz.json", [opengl.tolist()])


def tip_first(joints):
    """One hand's joints, each finger from the tip to the palm, without the wrist."""
    return np.concatenate([joints[1 + 4 * finger : 5 + 4 * finger][::-1] for finger in range(5)])


def write_interhand(folder, joints, split="train"):
    """Images of a right hand, both hands, and a left hand of which one joint is not labelled."""
    turn = cv2.Rodrigues(np.array([0.3, -0.8, 0.2]))[0]
    centre = np.array([100.0, -250.0, 1000.0])
    in_order = np.concatenate([part for hand in joints for part in (tip_first(hand), hand[:1])])
    world = in_order * 1000 @ turn + centre  # the inverse of turn @ (world - centre)
    whole, partial = np.ones((42, 1), int), np.ones((42, 1), int)
    partial[30] = 0
    cases = {"right": whole, "interacting": whole, "left": partial}
    images, labels, frames = [], [], {}
    for number, (kind, valid) in enumerate(cases.items()):
        name = f"Capture0/ROM01/cam400/image{number}.jpg"
        images.append({
            "id": number, "file_name": name, "width": SIZE, "height": SIZE, "capture": 0,
            "subject": 1, "seq_name": "ROM01", "camera": "400", "frame_idx": number,
        })  # fmt: skip
        labels.append({
            "id": number, "image_id": number, "bbox": [0, 0, SIZE, SIZE], "hand_type": kind,
            "joint_valid": valid.tolist(), "hand_type_valid": 1,
        })  # fmt: skip
        frames[str(number)] = {
            "world_coord": world.tolist(),
            "joint_valid": valid.tolist(),
            "hand_type": kind,
            "hand_type_valid": True,
        }
        write_image(folder / "images" / split / name)
    start = folder / "annotations" / split / f"InterHand2.6M_{split}"
    write_json(
        start.with_name(f"{start.name}_data.json"), {"images": images, "annotations": labels}
    )
    camera = {
        "campos": {"400": centre.tolist()},
        "camrot": {"400": turn.tolist()},
        "focal": {"400": [FOCAL, FOCAL]},
        "princpt": {"400": [31.5, 31.5]},
    }
    write_json(start.with_name(f"{start.name}_camera.json"), {"0": camera})
    write_json(start.with_name(f"{start.name}_joint_3d.json"), {"0": frames})


def write_rhd(folder, joints, split="training"):
    """One image whose mask shows the left hand only, one with both."""
    both = np.concatenate(
        [part for hand in (joints[1], joints[0]) for part in (hand[:1], tip_first(hand))]
    )
    visible = np.ones((42, 1))
    visible[3] = 0  # the left thumb's second joint from the tip
    label = {"xyz": both, "uv_vis": np.hstack([pixels(both), visible]), "K": np.array(CAMERA)}
    folder = folder / split
    folder.mkdir(parents=True)
    (folder / f"anno_{split}.pickle").write_bytes(pickle.dumps({0: label, 1: label}, protocol=2))
    for number in range(2):
        write_image(folder / "color" / f"{number:05d}.png")
        mask = np.ones((SIZE, SIZE), np.uint8)
        mask[:10], mask[20:30] = 2 + number, 33 * number + (1 - number)
        (folder / "mask").mkdir(exist_ok=True)
        cv2.imwrite(str(folder / "mask" / f"{number:05d}.png"), mask)


def write_coco_wholebody(folder, joints, split="train"):
    """A person with a labelled left and an unlabelled right hand; an image with a crowd."""
    points = np.hstack([pixels(joints[1]), np.full((21, 1), 2)])
    points[4, 2] = 1
    body = np.zeros((17, 3))
    body[8], body[10] = (10, 40, 2), (30, 40, 2)  # the right elbow and wrist
    person = {
        "id": 1, "image_id": 7, "category_id": 1, "iscrowd": 0, "area": 900.0,
        "bbox": [0, 0, 60, 60], "keypoints": body.ravel().tolist(), "num_keypoints": 2,
        "lefthand_kpts": points.ravel().tolist(), "lefthand_box": [1, 2, 30, 30],
        "lefthand_valid": True,
        "righthand_kpts": [0] * 63, "righthand_box": [0, 0, 0, 0], "righthand_valid": False,
    }  # fmt: skip
    crowd = {**person, "id": 2, "image_id": 8, "iscrowd": 1}
    images = [
        {"id": n, "file_name": f"{n:012d}.jpg", "width": SIZE, "height": SIZE} for n in (7, 8)
    ]
    for image in images:
        write_image(folder / f"{split}2017" / image["file_name"])
    write_json(
        folder / "annotations" / f"coco_wholebody_{split}_v1.0.json",
        {"images": images, "annotations": [person, crowd], "categories": []},
    )
