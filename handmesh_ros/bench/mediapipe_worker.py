"""The process of MediaPipe Hands, for `handmesh bench --mediapipe PYTHON`.

It runs in that interpreter, by its path, and so needs nothing but mediapipe and NumPy. Full
model, every image on its own (palm detection included), as our network works.
"""

import json
import os
import sys
import time

import mediapipe
import numpy as np


def make(hands):
    """Return MediaPipe Hands for up to that many hands."""
    return mediapipe.solutions.hands.Hands(
        static_image_mode=True, max_num_hands=hands, model_complexity=1
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
    image, detector = np.zeros((256, 256, 3), np.uint8), make(2)
    run(detector, image)
    version = mediapipe.__version__
    introduction = {"model_id": "MediaPipe Hands, full", "backend": f"MediaPipe {version} on CPU"}
    print(json.dumps(introduction), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if "show" in request:
            image = np.load(request["show"])
            detector.close()
            detector = make(request["hands"] or 2)
            found = detector.process(image).multi_hand_landmarks
            answer = {"hands": len(found or ())}
        else:
            answer = run(detector, image)
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
