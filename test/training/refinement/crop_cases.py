"""Made-up images with exact hands, and the features of their crops."""

import numpy as np
from batches import random_hands

from handmesh_ros.training.data.sample import PER_HAND_FIELDS, Sample

SIZE = 160


def exact_sample(seed, hands=2):
    """Noise with hands that were really posed and projected, a right and a left one."""
    fields = random_hands(hands, SIZE, seed)
    arrays = {name: fields[name].numpy() for name in PER_HAND_FIELDS}
    for name in ("is_right", "has_3d", "keypoints_visible"):
        arrays[name] = arrays[name].astype(np.uint8)
    image = np.random.default_rng(seed).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    intrinsics = arrays["hand_intrinsics"][0]
    return Sample(
        image=image, mask=None, intrinsics=intrinsics, source="", key=f"{seed:06d}", **arrays
    )
