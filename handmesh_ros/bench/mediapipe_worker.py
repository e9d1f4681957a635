"""The process of MediaPipe Hands, for `handmesh bench --mediapipe PYTHON`.

It runs in that interpreter, by its path, and so needs nothing but mediapipe and NumPy. Full
model; every image on its own, palm detection included, but of videos: there it follows hands.
"""

import json
import os
import sys
import time

import mediapipe
import numpy as np


def make(hands, is_video=False):
    """Return MediaPipe Hands for up to that many hands."""
    return mediapipe.solutions.hands.Hands(
        static_image_mode=not is_video, max_num_hands=hands, model_complexity=1
    )


def run(detector, image):
    """Return the milliseconds of one call, by the clock and of the processor."""
    cpu, start = time.process_time(), time.perf_counter()
    detector.process(image)
    total = time.perf_counter() - start
    return {"total_ms": 1e3 * total, "cpu_ms": 1e3 * (time.process_time() - cpu)}


def main():
    """Serve standard input, as `worker.serve` does."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    images, detector = np.zeros((1, 256, 256, 3), np.uint8), make(2)
    run(detector, images[0])
    frame = 0
    version = mediapipe.__version__
    introduction = {"model_id": "MediaPipe Hands, full", "backend": f"MediaPipe {version} on CPU"}
    print(json.dumps(introduction), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if "show" in request:
            shown = np.load(request["show"])
            images = shown if shown.ndim == 4 else shown[None]
            detector.close()
            detector = make(request["hands"] or 2, shown.ndim == 4)
            found = detector.process(images[frame % len(images)]).multi_hand_landmarks
            answer = {"hands": len(found or ())}
        else:
            frame += 1
            answer = run(detector, images[frame % len(images)])
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
