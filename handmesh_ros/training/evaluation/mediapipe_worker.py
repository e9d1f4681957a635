"""The process of MediaPipe Hands, for `handmesh evaluate --mediapipe PYTHON`.

It runs in that interpreter, by its path, and so needs nothing but mediapipe and NumPy. Full model.
Standard input: the most hands and whether the images are those of a video ("video") or each on its
own ("images"), then for each image its height and width and its RGB bytes; standard output: a line
of JSON for each image.
"""

import json
import os
import sys

import mediapipe
import numpy as np


def main():
    """Serve standard input until it ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what the libraries print is no answer
    images = sys.stdin.buffer
    max_hands, kind = images.readline().split()
    detector = mediapipe.solutions.hands.Hands(
        static_image_mode=kind == b"images", max_num_hands=int(max_hands), model_complexity=1
    )
    for header in images:
        height, width = map(int, header.split())
        data = images.read(height * width * 3)
        result = detector.process(np.frombuffer(data, np.uint8).reshape(height, width, 3))
        hands = [
            {
                "keypoints": [[p.x * width - 0.5, p.y * height - 0.5] for p in landmarks.landmark],
                # It names sides as in a mirrored selfie.
                "is_right": sides.classification[0].label == "Left",
                "score": sides.classification[0].score,
            }
            for landmarks, sides in zip(
                result.multi_hand_landmarks or (), result.multi_handedness or (), strict=True
            )
        ]
        print(json.dumps(hands), file=answers, flush=True)


if __name__ == "__main__":
    main()
