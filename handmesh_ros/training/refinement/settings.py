"""What `handmesh train-refinement` can be told; free of torch."""

from __future__ import annotations

from dataclasses import dataclass

HEADS = ("pose.", "colours.")
"""Names that the trained parameters start with; the landmark network stays as it is."""


@dataclass(frozen=True)
class Optimisation:
    """How the weights move.

    Args:
        steps: of the whole run.
        batch_size: crops.
        learning_rate: peak; a cosine takes it to zero.
        weight_decay: of AdamW.
        warmup_steps: of the linear ramp.
        ema_decay: of the averaged weights that are kept.
        gradient_clip: norm.
        check_steps: steps between validations on held-out crops, and checkpoints.
        only: train parameters whose names start so; all of the heads by default.
        seed: of everything random.
    """

    steps: int = 4000
    batch_size: int = 256
    learning_rate: float = 1e-3
    weight_decay: float = 0.02
    warmup_steps: int = 100
    ema_decay: float = 0.998
    gradient_clip: float = 5.0
    check_steps: int = 250
    only: tuple[str, ...] = HEADS
    seed: int = 0


@dataclass(frozen=True)
class RefinementWeights:
    """Weights of the losses; 0 switches one off.

    Args:
        keypoints: L1 of the keypoints in this project's definition, in sizes of the hand; hidden
            ones outside the image count a fifth.
        side: cross entropy of the side.
        presence: cross entropy of a hand being there, over all crops.
        visible: cross entropy of keypoints being in view.
        trust: cross entropy of the network's own landmarks being right
            (`losses.TRUSTED_DISTANCE`).
        rotations: L1 of rotation matrices.
        shape: L1 of shape coefficients.
        joints: L1 of joints from the wrist, decimetres.
        vertices: L1 of vertices from the wrist, decimetres.
        reprojection: L1 of where the joints are seen, in the keypoints' spread.
        size: absolute difference of logarithms of the wrist's depth.
        joint_limits: radians beyond what finger joints can do.
        shape_prior: mean squared shape coefficient of hands without 3D labels.
        colors: L1 of vertex colours.
    """

    keypoints: float = 8.0
    side: float = 1.0
    presence: float = 0.5
    visible: float = 0.3
    trust: float = 0.5
    rotations: float = 2.0
    shape: float = 0.3
    joints: float = 6.0
    vertices: float = 4.0
    reprojection: float = 5.0
    size: float = 0.5
    joint_limits: float = 0.2
    shape_prior: float = 0.02
    colors: float = 4.0
