"""Joint angles of robot hands by dex-retargeting: how far off are they by which wrist frame?

`python -m benchmarks.retargeting dex-urdf/robots/hands` poses the bundled hand model at random
and has dex-retargeting copy each pose three times from the same start: with the library's own
estimate of the wrist's frame (the truth), with the operator frame that messages carry, and with
`teleop/retargeting.dex_retargeting_frame`. It prints the differences of joint angles as a table.
`--checkout dex-retargeting` takes the library's estimate from a checkout of its repository, where
it is part of an example; else from a plane fitted to the same three points. Needs the extras
[retarget] and [train], and https://github.com/dexsuite/dex-urdf.
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.conventions import RIGHT, SIDES, WRIST, operator_frame
from handmesh_ros.hand.rotations import quaternions, rotation_vectors
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.teleop.retargeting import dex_retargeting_frame

ROBOTS = ("allegro", "shadow", "leap", "inspire")
REPEATS = 10
"""The optimiser stops early; started again where it ended, it comes to rest."""

Estimate = Callable[[np.ndarray], np.ndarray]


def random_hands(count: int, side: int, seed: int = 0) -> np.ndarray:
    """Return (count, 21, 3) keypoints, metres, of random poses and shapes of the hand model."""
    import torch

    from handmesh_ros.hand.model import HandModel, mirror_rotations
    from handmesh_ros.training.synthesis.poses import sample_pose

    template, rng = HandTemplate.bundled(), np.random.default_rng(seed)
    tips = template.template[template.fingertips]
    poses = np.stack([sample_pose(rng, template.joint_template, tips) for _ in range(count)])
    shape = torch.from_numpy(rng.normal(size=(count, 10)).astype(np.float32))
    is_right = torch.full((count,), float(side))
    rotations = mirror_rotations(torch.from_numpy(poses.astype(np.float32)), is_right)
    with torch.inference_mode():
        return HandModel(template)(rotations, shape, is_right)[1].double().numpy()


def plane_fit(joints: np.ndarray) -> np.ndarray:
    """Return (3, 3), columns: from the middle MCP to the wrist, normal of the palm, to the index.

    Args:
        joints: (21, 3) keypoints; the plane is that of wrist, index MCP and middle MCP.
    """
    palm = joints[[0, 5, 9]]
    normal = np.linalg.svd(palm - palm.mean(0))[2][2]
    backward = palm[0] - palm[2]
    backward = backward / np.linalg.norm(backward)
    across = np.cross(backward, normal)
    sign = np.sign(across @ (palm[1] - palm[2]))
    return np.stack([backward, sign * normal, sign * across], axis=1)


def library_estimate(checkout: Path) -> Estimate:
    """Return dex-retargeting's own function from a checkout of its repository.

    Raises:
        HandmeshError: it is not there.
    """
    path = checkout / "example" / "vector_retargeting" / "single_hand_detector.py"
    try:
        tree = ast.parse(path.read_text())
    except OSError as error:
        raise HandmeshError(
            f"{path} cannot be read: give a checkout of github.com/dexsuite/dex-retargeting."
        ) from error
    for node in ast.walk(tree):
        if getattr(node, "name", "") == "estimate_frame_from_hand_points":
            node.decorator_list = []  # type: ignore[attr-defined]
            space: dict[str, Any] = {"np": np}
            exec(compile(ast.Module([node], []), str(path), "exec"), space)  # type: ignore[list-item]
            return space["estimate_frame_from_hand_points"]
    raise HandmeshError(f"{path} has no estimate_frame_from_hand_points: take version 0.5.")


class Robot:
    """dex-retargeting's settings of one robot hand, from any points in its frame to joint angles.

    Args:
        folder: with a folder for each robot hand.
        name: of a robot hand that dex-retargeting knows.
        side: LEFT or RIGHT.
        method: "vector" or "dexpilot".

    Raises:
        HandmeshError: the folder does not have the model.
    """

    def __init__(self, folder: Path, name: str, side: int, method: str) -> None:
        from dex_retargeting import constants
        from dex_retargeting.retargeting_config import RetargetingConfig

        RetargetingConfig.set_default_urdf_dir(str(folder.resolve()))
        settings = constants.get_default_config_path(
            constants.RobotName[name],
            constants.RetargetingType[method],
            constants.HandType[SIDES[side]],
        )
        self.to_mano = constants.OPERATOR2MANO[constants.HandType[SIDES[side]]]
        try:
            config = RetargetingConfig.load_from_file(str(settings), {"low_pass_alpha": 1.0})
            self._retargeting = config.build()
        except (OSError, ValueError) as error:
            raise HandmeshError(
                f"The model of {name} is not in {folder} ({error}): give robots/hands of dex-urdf."
            ) from error
        self._start = self._retargeting.get_qpos()

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Return joint angles, radians, of (21, 3) points in the frame of the robot's settings."""
        origins, tasks = self._retargeting.optimizer.target_link_human_indices
        self._retargeting.set_qpos(self._start)
        for _ in range(REPEATS):
            angles = self._retargeting.retarget(points[tasks] - points[origins])
        return angles


def differences(
    robot: Robot, hands: np.ndarray, side: int, estimate: Estimate
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return what the operator frame and `dex_retargeting_frame` change.

    Args:
        robot: that copies the hands.
        hands: (n, 21, 3) keypoints, metres.
        side: of all of them.
        estimate: dex-retargeting's own, of one hand.

    Returns:
        (n,) angle from the library's frame, degrees, and (n, dof) joint angles off, degrees: of
        the operator frame; the same of `dex_retargeting_frame`.
    """
    turns: tuple[list, list] = ([], [])
    angles: tuple[list, list] = ([], [])
    for joints in hands:
        points = joints - joints[WRIST]
        truth = estimate(points) @ robot.to_mano
        true_angles = robot(points @ truth)
        frames = (
            operator_frame(joints, side == RIGHT),
            dex_retargeting_frame(joints, side == RIGHT),
        )
        for kind, frame in enumerate(frames):
            turns[kind].append(np.linalg.norm(rotation_vectors(quaternions(truth.T @ frame))))
            angles[kind].append(np.abs(robot(points @ frame) - true_angles))
    before, after, off_before, off_after = (np.degrees(x) for x in (*turns, *angles))
    return before, off_before, after, off_after


def report(
    folder: Path, robots: list[str], side: int, method: str, count: int, estimate: Estimate
) -> str:
    """Return the table as Markdown."""
    lines = [
        f"{count} random poses, {SIDES[side]} hand, {method}; degrees",
        "",
        "| robot | frame | frame off, median / max | joints off, mean | p95 | max |",
        "|---|---|---|---|---|---|",
    ]
    hands = random_hands(count, side)
    for name in robots:
        before, off_before, after, off_after = differences(
            Robot(folder, name, side, method), hands, side, estimate
        )
        for kind, turn, off in (
            ("`operator_frame`", before, off_before),
            ("`dex_retargeting_frame`", after, off_after),
        ):
            lines.append(
                f"| {name} | {kind} | {np.median(turn):.3f} / {turn.max():.3f} | {off.mean():.3f} "
                f"| {np.percentile(off, 95):.3f} | {off.max():.3f} |"
            )
    return "\n".join(lines)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.retargeting")
    parser.add_argument("folder", type=Path, help="folder with a folder for each robot hand")
    parser.add_argument("--checkout", type=Path, help="checkout of dex-retargeting's repository")
    parser.add_argument("--robots", nargs="+", default=list(ROBOTS), help="names that it knows")
    parser.add_argument("--side", choices=SIDES, default="right")
    parser.add_argument("--method", choices=("vector", "dexpilot"), default="vector")
    parser.add_argument("--hands", type=int, default=100, help="number of poses")
    args = parser.parse_args()
    estimate = library_estimate(args.checkout) if args.checkout else plane_fit
    try:
        side = SIDES.index(args.side)
        print(report(args.folder, args.robots, side, args.method, args.hands, estimate))
    except HandmeshError as error:
        raise SystemExit(f"benchmarks.retargeting: {error}") from error


if __name__ == "__main__":
    main()
