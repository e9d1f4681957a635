"""The refinement network: one crop per hand in, the same outputs as the single-stage network.

The trunk and four linear heads are MediaPipe's hand landmark network as published: 21 landmarks,
presence, side and points in space, all read off one pooled vector. `PoseHead` takes these, the
pooled vector and what the trunk's maps show at the landmarks, and makes a posed hand: keypoints in
this project's definition of the joints, a first guess of rotations, shape and placement, and one
correction by what of the keypoints that guess leaves unexplained (iterative error feedback,
Carreira et al. 2016). It works in a virtual camera that looks at the middle of the crop and is
rolled as the crop is, on right hands: left ones are mirrored.

Shapes: N crops, V vertices. "Crop units" are pixels of the crop divided by its side.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from handmesh_ros.hand.conventions import CROP_SIDE
from handmesh_ros.hand.model import HandModel, mirror_rotations
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.network.backbone import HandLandmarkTrunk, read_landmark_heads
from handmesh_ros.network.lifting import SHAPE, rotations_of
from handmesh_ros.network.placement import HandGeometry
from handmesh_ros.network.pose_head import (
    CropCamera,
    CropPose,
    CropReading,
    PoseHead,
    wrist_position,
)

MAX_CROPS = 16
"""Crops of one run: the largest batch that backends with fixed memory make room for."""

MAP_LEVELS = (1, 2)
"""Which of the trunk's maps are read at the landmarks: strides 8 and 16."""

_BOX_MARGIN = 0.1
"""Flesh around the keypoints, of the longer side of their box."""


class ColourHead(nn.Module):
    """Vertex colours from the colours that the crop shows at the landmarks.

    Args:
        vertex_count: V.
        rank: number of patterns that the colours are mixed from.
    """

    def __init__(self, vertex_count: int, rank: int = 24):
        super().__init__()
        self.vertex_count = vertex_count
        self.weights = nn.Sequential(nn.Linear(63, 64), nn.ReLU(), nn.Linear(64, rank))
        self.patterns = nn.Linear(rank, 3 * vertex_count)
        nn.init.normal_(self.patterns.weight, std=0.05)

    def forward(self, shades: Tensor) -> Tensor:
        """Return (N, V, 3) RGB in [0, 1] of (N, 21, 3) RGB."""
        mixed = self.patterns(self.weights(shades.flatten(1) - 0.5))
        return torch.sigmoid(mixed).reshape(-1, self.vertex_count, 3)


class RefinementNetwork(nn.Module):
    """Crops, their place in the image and intrinsics in; hands in the camera frame out.

    Args:
        template: the hand model whose mesh it puts out.
        hidden: width of the pose head.
        dropout: of the pose head, in training.
    """

    def __init__(self, template: HandTemplate, hidden: int = 384, dropout: float = 0.1):
        super().__init__()
        self.trunk = HandLandmarkTrunk()
        self.side = nn.Linear(1152, 1)
        self.presence = nn.Linear(1152, 1)
        self.landmarks = nn.Linear(1152, 63)
        self.world = nn.Linear(1152, 63)
        self.hand_model = HandModel(template)
        self.pose = PoseHead(self.hand_model, hidden, dropout)
        self.colours = ColourHead(template.vertex_count)

    def load_published(self) -> None:
        """Load the landmark network as it was published; the other heads stay as they are.

        Raises:
            HandmeshError: its weights are not there.
        """
        self.trunk.load_pretrained()
        for name, (weight, bias) in read_landmark_heads().items():
            layer = getattr(self, name)
            layer.weight.data.copy_(weight)
            layer.bias.data.copy_(bias)

    def read(self, crops: Tensor) -> CropReading:
        """Run the landmark network.

        Args:
            crops: (N, 224, 224, 3) uint8 RGB.
        """
        x = crops.float().permute(0, 3, 1, 2) / 255
        maps = self.trunk(x)
        pooled = maps[-1].mean((2, 3))
        landmarks = self.landmarks(pooled).reshape(-1, 21, 3)
        fine, coarse = (_read_at(maps[level], landmarks) for level in MAP_LEVELS)
        return CropReading(
            landmarks=landmarks,
            presence_logit=self.presence(pooled)[:, 0],
            side_logit=self.side(pooled)[:, 0],
            world=self.world(pooled).reshape(-1, 21, 3),
            pooled=pooled,
            fine=fine,
            coarse=coarse,
            shades=_read_at(F.avg_pool2d(x, 4), landmarks),
        )

    def forward(self, crops: Tensor, to_image: Tensor, intrinsics: Tensor) -> dict[str, Tensor]:
        """Read N hands: the graph that is exported.

        Args:
            crops: (N, 224, 224, 3) uint8 RGB.
            to_image: (N, 2, 3) float32, crop pixels to image pixels: a similarity.
            intrinsics: (N, 4) float32 fx, fy, cx, cy, image pixels.

        Returns:
            the outputs of `HandNetwork.forward` with N in place of K, in image pixels; `score` is
            P(the crop shows a hand) and `keypoint_scores` (N, 21) P(a keypoint of `joints_2d` lies
            within a tenth of the hand's size).
        """
        read = self.read(crops)
        camera = CropCamera.of(to_image, intrinsics)
        found = self.pose(read, camera)
        hands = self.place(found, camera)
        joints_2d = camera.image_points(read.landmarks[..., :2])
        box = _box_around(joints_2d)
        return {
            "score": torch.sigmoid(read.presence_logit),
            "handedness": torch.sigmoid(found.side_logit),
            "centre": (box[:, :2] + box[:, 2:]) / 2,
            "box": box,
            "joints_2d": joints_2d,
            "joints": hands.joints,
            "vertices": hands.vertices,
            "rotations": hands.rotations,
            "shape": found.rounds[-1][:, SHAPE],
            "translation": hands.translation,
            "colors": self.colours(read.shades),
            "keypoint_scores": torch.sigmoid(found.trust_logits),
        }

    def place(self, found: CropPose, camera: CropCamera) -> HandGeometry:
        """Put the hands into the real camera's frame, as the side that they are."""
        numbers = found.rounds[-1]
        sign = (found.is_right * 2 - 1)[:, None]
        wrist = wrist_position(numbers, found.spread, camera.focal, found.middle)
        wrist = torch.cat([wrist[:, :1] * sign, wrist[:, 1:]], dim=1)
        translation = (camera.rotation @ wrist[..., None])[..., 0]
        rotations = mirror_rotations(rotations_of(numbers), found.is_right)
        rotations = torch.cat([camera.rotation[:, None] @ rotations[:, :1], rotations[:, 1:]], 1)
        vertices, joints = self.hand_model(rotations, numbers[:, SHAPE], found.is_right)
        return HandGeometry(
            joints=joints + translation[:, None],
            vertices=vertices + translation[:, None],
            rotations=rotations,
            translation=translation,
        )


def _read_at(features: Tensor, landmarks: Tensor) -> Tensor:
    """Return (N, 21, C), maps (N, C, h, w) read bilinearly at (N, 21, 2+) crop pixels."""
    grid = (2 * landmarks[..., :2] + 1) / CROP_SIDE - 1
    read = F.grid_sample(features, grid[:, :, None], padding_mode="border", align_corners=False)
    return read[..., 0].transpose(1, 2)


def _box_around(keypoints: Tensor) -> Tensor:
    """Return (N, 4) boxes of (N, 21, 2) keypoints and the flesh around them."""
    low, high = keypoints.amin(1), keypoints.amax(1)
    margin = _BOX_MARGIN * (high - low).amax(1, keepdim=True)
    return torch.cat([low - margin, high + margin], dim=1)
