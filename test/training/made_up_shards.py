"""Tiny shards and a configuration that trains on them within seconds."""

import numpy as np
from batches import random_hands

from handmesh_ros.training.config import TrainingConfig
from handmesh_ros.training.data.sample import PER_HAND_FIELDS, Sample
from handmesh_ros.training.data.shards import ShardWriter

SIZE = 64


def write_shards(folder, count=12):
    """Noise images with one or two hands that were really posed and projected."""
    random = np.random.default_rng(0)
    with ShardWriter(folder) as writer:
        for index in range(count):
            hands = random_hands(1 + index % 2, SIZE, seed=index)
            arrays = {name: hands[name].numpy() for name in PER_HAND_FIELDS}
            for name in ("is_right", "has_3d", "keypoints_visible"):
                arrays[name] = arrays[name].astype(np.uint8)
            sample = Sample(
                image=random.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8),
                mask=None,
                intrinsics=arrays["hand_intrinsics"][0],
                source="made up",
                key=f"{index:06d}",
                **arrays,
            )
            writer.write(sample)


def tiny_config(path, **changes):
    path.write_text(
        f"""
name: tiny
network:
  {{input_size: {SIZE}, channels: 16, hidden: 32, lifter_hidden: 16, color_rank: 4, max_hands: 4}}
data:
  train: [{{path: made_up}}]
  validation: [{{path: made_up}}]
  workers: 0
optimisation: {{steps: 6, batch_size: 2, warmup_steps: 2, pretrained: false, ema_decay: 0.5}}
epoch_steps: 4
checkpoint_steps: 1
"""
    )
    return TrainingConfig.load(path, tuple(f"{name}={value}" for name, value in changes.items()))
