"""Writes files in MANO's format from the bundled hand: same sizes and fields, no MANO data."""

import pickle

import numpy as np
from scipy import sparse

from handmesh_ros.hand.conventions import MODEL_PARENTS
from handmesh_ros.hand.template import HandTemplate


def mano_fields(seed: int = 0) -> dict:
    """Fields of a MANO-like right hand with random, valid pose corrections and regressor."""
    generator = np.random.default_rng(seed)
    hand = HandTemplate.bundled()
    parents = np.array(MODEL_PARENTS, np.int64)
    return {
        "v_template": hand.template.astype(np.float64),
        "f": hand.faces.astype(np.uint32),
        "shapedirs": hand.shape_dirs.astype(np.float64),
        "posedirs": generator.normal(0, 5e-4, (hand.vertex_count, 3, 135)),
        "weights": hand.weights.astype(np.float64),
        "J_regressor": sparse.csc_matrix(hand.joint_regressor.astype(np.float64)),
        "kintree_table": np.stack([np.where(parents < 0, 4294967295, parents), np.arange(16)]),
        "hands_mean": hand.mean_pose.astype(np.float64).ravel(),
        "hands_components": np.eye(45),
        "hands_coeffs": np.zeros((4, 45)),
        "bs_style": "lbs",
        "bs_type": "lrotmin",
    }


def write_mano(path, fields: dict) -> None:
    path.write_bytes(pickle.dumps(fields, protocol=2))
