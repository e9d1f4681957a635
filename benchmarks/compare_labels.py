"""Compares labels that `handmesh label` made with known ones, and draws the differences.

    python -m benchmarks.compare_labels PHOTOS --sheet sheet.png    # PHOTOS/hands.json exists
    python -m benchmarks.compare_labels PHOTOS --unpack data/synth_val --limit 60    # makes PHOTOS

PHOTOS holds sets of photographs, each `images/` and `labels.json` (docs/labels.md). A labelled
hand is right where its box and that of a known hand share half of their union. The sheet shows
hands that the known labels do not have, then places to be ignored, then known hands that were
missed; the keypoints of right hands are red, those of left hands blue.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from handmesh_ros.common.arguments import count, number
from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.conventions import SIDES, SKELETON
from handmesh_ros.training.data.dataset import ignored_hands
from handmesh_ros.training.data.readers.hand_labels import (
    FILE_NAME,
    LabelledHand,
    read_labelled_images,
)
from handmesh_ros.training.data.sample import box_of_keypoints
from handmesh_ros.training.data.shards import ShardDataset
from handmesh_ros.training.evaluation.metrics import clip_boxes, match

SIDE = 220
"""Pixels of a crop's side in the sheet."""


@dataclass
class Comparison:
    """Counts of hands.

    Attributes:
        counts: by what became of them.
        errors: (21,) of each hand that was found, keypoints' distances in sizes of the known box.
        crops: by kind, crops for the sheet.
        iou: least share of their union that two boxes of one hand have in common.
    """

    counts: Counter[str] = field(default_factory=Counter)
    errors: list[np.ndarray] = field(default_factory=list)
    crops: dict[str, list[np.ndarray]] = field(default_factory=dict)
    iou: float = 0.5

    def add(
        self, picture: Path, size: tuple[int, int], hands: list[LabelledHand], known: list[Any]
    ):
        """Compare the labels of one image.

        Args:
            picture: its file.
            size: width and height, pixels.
            hands: its labels.
            known: its known labels, in the form of labels.json.
        """
        truth = [hand for hand in known if "keypoints" in hand]
        points = np.array([hand["keypoints"] for hand in truth], np.float32).reshape(-1, 21, 2)
        true_boxes = clip_boxes(box_of_keypoints(points), *size)
        hidden = [hand["ignored_box"] for hand in known if "ignored_box" in hand]
        hidden_boxes = clip_boxes(np.array(hidden, np.float32).reshape(-1, 4), *size)
        boxes = clip_boxes(np.array([hand.box for hand in hands]).reshape(-1, 4), *size)
        score = np.array([hand.score for hand in hands])
        score += [0 if hand.is_ignored else 1 for hand in hands]
        matched = match(score, boxes, true_boxes, self.iou)
        to_hidden = match(score, boxes, hidden_boxes, 0.3)
        self.counts.update(images=1, known=len(truth))
        for hand, at, hidden_at in zip(hands, matched, to_hidden, strict=True):
            kind = "ignored" if hand.is_ignored else "labelled"
            if at >= 0:
                self.counts[f"known, {kind}"] += 1
                if not hand.is_ignored:
                    side = SIDES[int(hand.is_right)] == truth[at]["handedness"]
                    self.counts["side"] += side
                    extent = np.ptp(points[at], axis=0).max()
                    gap = np.linalg.norm(hand.keypoints - points[at], axis=1) / extent
                    self.errors.append(gap)
                    if not side or gap.mean() > 0.15:
                        self._draw("differs", picture, hand)
                    continue
            elif hidden_at >= 0:
                continue
            else:
                self.counts[f"added, {kind}"] += 1
            self._draw("ignored" if hand.is_ignored else "added", picture, hand)
        for missed in set(range(len(truth))) - set(matched.tolist()):
            self.counts["known, background"] += 1
            is_right = truth[missed]["handedness"] == "right"
            hand = LabelledHand(points[missed], true_boxes[missed], is_right, 0.0)
            self._draw("missed", picture, hand)

    def _draw(self, kind: str, picture: Path, hand: LabelledHand) -> None:
        image = cv2.imread(str(picture))
        if image is None:
            raise HandmeshError(f"The image {picture} cannot be read; it was labelled, though.")
        x0, y0, x1, y1 = hand.box
        half = 0.9 * max(x1 - x0, y1 - y0, 8)
        scale = SIDE / (2 * half)
        shift = np.array([SIDE / 2, SIDE / 2]) - scale * np.array([(x0 + x1) / 2, (y0 + y1) / 2])
        crop = cv2.warpAffine(image, np.column_stack([np.eye(2) * scale, shift]), (SIDE, SIDE))
        colour = (60, 60, 255) if hand.is_right else (255, 120, 80)
        if hand.keypoints is not None:
            points = (hand.keypoints * scale + shift).round().astype(int)
            for start, end in SKELETON:
                cv2.line(
                    crop, points[start].tolist(), points[end].tolist(), colour, 1, cv2.LINE_AA
                )
        else:
            corners = (hand.box.reshape(2, 2) * scale + shift).round().astype(int)
            cv2.rectangle(crop, corners[0].tolist(), corners[1].tolist(), (160, 160, 160), 1)
        for text, y in ((f"{kind} {hand.score:.2f}", 12), (picture.stem[-24:], SIDE - 5)):
            cv2.putText(crop, text, (3, y), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 255, 255), 1)
        self.crops.setdefault(kind, []).append(crop)

    def lines(self) -> Iterator[str]:
        """Yield the figures."""
        found, added = self.counts["known, labelled"], self.counts["added, labelled"]
        errors = np.concatenate(self.errors) if self.errors else np.zeros(1)
        known = max(self.counts["known"], 1)
        yield f"images {self.counts['images']}, known hands {self.counts['known']}"
        for kind in ("labelled", "ignored", "background"):
            number = self.counts[f"known, {kind}"]
            yield f"known hands that are {kind}: {number} ({number / known:.3f})"
        side = self.counts["side"] / max(found, 1)
        yield f"precision {found / max(found + added, 1):.3f}, side {side:.3f}"
        yield f"PCK@.1 {(errors <= 0.1).mean():.3f}, @.2 {(errors <= 0.2).mean():.3f}"
        yield f"added: {added} labelled, {self.counts['added, ignored']} to be ignored"


def compare(folder: Path, iou: float = 0.5) -> Comparison:
    """Compare the labels of a folder with what its sets know.

    Raises:
        HandmeshError: a file of labels is missing or damaged.
    """
    _, images = read_labelled_images(folder / FILE_NAME)
    known: dict[Path, list[Any]] = {}
    for file in sorted(folder.rglob("labels.json")):
        for name, hands in json.loads(file.read_text()).items():
            known[file.parent / "images" / name] = hands if isinstance(hands, list) else [hands]
    result = Comparison(iou=iou)
    for image in images:
        path = folder / image.name
        if path in known:
            result.add(path, (image.width, image.height), list(image.hands), known[path])
    if not result.counts["images"]:
        raise HandmeshError(
            f"No image of {folder / FILE_NAME} is listed in a labels.json below {folder}: give a "
            "folder that was labelled as a whole."
        )
    return result


def unpack(shards: Path, folder: Path, limit: int) -> None:
    """Write images of shards as a set of photographs; hidden hands are to be ignored.

    Raises:
        HandmeshError: there are no shards.
    """
    data = ShardDataset(shards)
    images = folder / shards.name / "images"
    images.mkdir(parents=True, exist_ok=True)
    labels = {}
    for index in range(min(limit, len(data))):
        sample = data[index]
        cv2.imwrite(
            str(images / f"{index:06d}.png"), cv2.cvtColor(sample.image, cv2.COLOR_RGB2BGR)
        )
        labels[f"{index:06d}.png"] = [
            {"ignored_box": sample.box[hand].tolist()}
            if ignored
            else {
                "keypoints": sample.keypoints_2d[hand].tolist(),
                "handedness": SIDES[int(sample.is_right[hand])],
            }
            for hand, ignored in enumerate(ignored_hands(sample))
        ]
    (images.parent / "labels.json").write_text(json.dumps(labels))


def main() -> int:
    """Run the program; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sheet", type=Path, help="picture to draw")
    parser.add_argument(
        "--iou", type=number(0, 1), default=0.5, help="of boxes of one hand (%(default)s)"
    )
    parser.add_argument("--each", type=count(), default=24, help="crops of a kind (%(default)s)")
    parser.add_argument("--unpack", type=Path, metavar="SHARDS", help="make the folder of these")
    parser.add_argument("--limit", type=count(), default=60, help="images (%(default)s)")
    args = parser.parse_args()
    try:
        if args.unpack:
            unpack(args.unpack, args.folder, args.limit)
            return 0
        result = compare(args.folder, args.iou)
    except HandmeshError as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(result.lines()))
    if args.sheet:
        crops = [
            crop
            for kind in ("added", "ignored", "differs", "missed")
            for crop in result.crops.get(kind, [])[: args.each]
        ]
        crops = crops or [np.zeros((SIDE, SIDE, 3), np.uint8)]
        crops += [np.zeros((SIDE, SIDE, 3), np.uint8)] * (-len(crops) % 8)
        rows = [np.hstack(crops[start : start + 8]) for start in range(0, len(crops), 8)]
        cv2.imwrite(str(args.sheet), np.vstack(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
