"""The losses that need no 3D label, put together for the trainer.

Shapes: N hands, V vertices.
"""

from __future__ import annotations

import torch
from torch import Tensor

from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.network.heads import HandParameters
from handmesh_ros.network.placement import HandGeometry, project
from handmesh_ros.training.losses.appearance import (
    best_lighting,
    mask_points,
    photometric,
    read_colours,
    silhouette,
    vertex_normals,
    visible_vertices,
)
from handmesh_ros.training.losses.priors import joint_frames, joint_limits, keypoint_consistency
from handmesh_ros.training.losses.supervised import LossWeights


class WeakLosses(torch.nn.Module):
    """Joint limits, consistency, photometric and silhouette losses of hands in images.

    Args:
        template: the hand model.
        weights: a loss of weight 0 is not computed.
    """

    frames: Tensor
    faces: Tensor

    def __init__(self, template: HandTemplate, weights: LossWeights):
        super().__init__()
        self.weights = weights
        self.register_buffer("frames", joint_frames(template), persistent=False)
        faces = torch.from_numpy(template.faces).long()
        self.register_buffer("faces", faces, persistent=False)

    def forward(
        self,
        found: HandParameters,
        hands: HandGeometry,
        truth: dict[str, Tensor],
        image: Tensor,
        mask: Tensor,
        index: Tensor,
    ) -> dict[str, Tensor]:
        """Compute the losses, unweighted.

        Args:
            found: the heads' output of N hands.
            hands: the same hands in the camera frame.
            truth: the batch's fields for these hands, each (N, ...).
            image: (B, H, W, 3) uint8.
            mask: (B, H, W) uint8 as in `Sample`, zeros where it is not known.
            index: (N,) each hand's image.

        Returns:
            the scalars joint_limits, consistency, photometric and silhouette; one whose weight
            is 0 is 0.
        """
        weights, nothing = self.weights, hands.joints.new_zeros(())
        losses = dict.fromkeys(
            ("joint_limits", "consistency", "photometric", "silhouette"), nothing
        )
        if weights.joint_limits:
            losses["joint_limits"] = joint_limits(found.rotations, self.frames)
        if weights.consistency:
            projected = project(hands.joints, truth["hand_intrinsics"])
            size = (truth["box"][:, 2:] - truth["box"][:, :2]).amax(1)
            losses["consistency"] = keypoint_consistency(found.keypoints, projected, size)
        if len(index) == 0 or not (weights.photometric or weights.silhouette):
            return losses
        points = project(hands.vertices, truth["hand_intrinsics"])
        if weights.photometric:
            losses["photometric"] = self._photometric(
                found, hands, truth, points, image, mask, index
            )
        if weights.silhouette:
            cells = mask_points(
                mask[index], truth["mask_value"], truth["box"], truth["keypoints_2d"]
            )
            # A mask value of 0 is no hand: nothing is wanted, so nothing is paid.
            known = (truth["mask_value"] > 0)[:, None]
            losses["silhouette"] = silhouette(points, cells[0], cells[1] & known, cells[2])
        return losses

    def _photometric(
        self,
        found: HandParameters,
        hands: HandGeometry,
        truth: dict[str, Tensor],
        points: Tensor,
        image: Tensor,
        mask: Tensor,
        index: Tensor,
    ) -> Tensor:
        pictures = (image.permute(0, 3, 1, 2).float() / 255)[index]
        normals = vertex_normals(hands.vertices, self.faces, truth["is_right"])
        seen = visible_vertices(hands.vertices, normals, points)
        with torch.no_grad():
            # Where a mask tells which pixels are the hand's, only those count.
            value, inside = read_colours(
                (mask[index] == truth["mask_value"][:, None, None])[:, None].float(), points
            )
            unknown = (truth["mask_value"] == 0)[:, None]
            skin = seen & inside & ((value[..., 0] > 0.5) | unknown)
            colours, _ = read_colours(pictures, points)
            light = best_lighting(found.colors, normals, colours, skin.float())
        return photometric(found.colors, light, normals, pictures, points, skin)
