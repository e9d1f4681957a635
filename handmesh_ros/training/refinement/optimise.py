"""The training loop over cached crops: it resumes exactly, and keeps the best weights."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.network.checkpoint import REFINEMENT, save_refinement
from handmesh_ros.network.refinement import RefinementNetwork
from handmesh_ros.training.losses.priors import joint_frames
from handmesh_ros.training.refinement.data import Batch, CropData, camera_of, reading_of, take
from handmesh_ros.training.refinement.losses import refinement_losses, total
from handmesh_ros.training.refinement.settings import Optimisation, RefinementWeights
from handmesh_ros.training.refinement.truth import truth_of

LAST, BEST, LOG = "last.ckpt", "best.ckpt", "log.jsonl"
"""Files of a run."""

_HELD_OUT_ROWS = 512


@dataclass
class Run:
    """A run of training.

    Args:
        network: to train; the weights it has are where training starts.
        data: crops.
        optimisation: how the weights move.
        weights: of the losses.

    Attributes:
        step: optimiser steps done.
        best: least loss on held-out crops so far.

    Raises:
        HandmeshError: no parameter's name starts as asked for.
    """

    network: RefinementNetwork
    data: CropData
    optimisation: Optimisation
    weights: RefinementWeights = field(default_factory=RefinementWeights)
    step: int = 0
    best: float = math.inf

    def __post_init__(self) -> None:
        self._frames = joint_frames(HandTemplate.bundled())
        self.network.eval().requires_grad_(False)
        self._trained = {
            name: parameter
            for name, parameter in self.network.named_parameters()
            if name.startswith(self.optimisation.only)
        }
        if not self._trained:
            raise HandmeshError(
                f"No parameter of the network starts with {', '.join(self.optimisation.only)}: "
                "give a name such as pose or pose.trust."
            )
        for parameter in self._trained.values():
            parameter.requires_grad_(True)
        self._average = {name: p.detach().clone() for name, p in self._trained.items()}
        decayed = [p for p in self._trained.values() if p.ndim > 1]
        others = [p for p in self._trained.values() if p.ndim <= 1]
        groups = [
            {"params": decayed, "weight_decay": self.optimisation.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        self._optimiser = torch.optim.AdamW(groups, lr=self.optimisation.learning_rate)
        # Dropout is for the layers that are trained: beside frozen ones a head sees what it will.
        self._drops = "pose." in self.optimisation.only

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return the unweighted losses of a batch, told the true sides."""
        camera = camera_of(batch)
        truth, read = truth_of(batch, camera), reading_of(batch)
        found = self.network.pose(read, camera, truth.is_right)
        colors = self.network.colours(read.shades)
        return refinement_losses(self.network, read, found, colors, camera, truth, self._frames)

    def train(
        self,
        folder: Path,
        *,
        max_minutes: float | None = None,
        tell: Callable[[str], None] = print,
    ) -> bool:
        """Train on, keeping checkpoints in a folder.

        Args:
            folder: of the run.
            max_minutes: stop after this long.
            tell: is told of the losses.

        Returns:
            whether all steps are done.

        Raises:
            HandmeshError: the loss is not a number.
        """
        options, start, begun = self.optimisation, time.monotonic(), self.step
        sums: dict[str, float] = {}
        while self.step < options.steps:
            if max_minutes is not None and time.monotonic() - start > 60 * max_minutes:
                self.save(folder / LAST)
                return False
            for name, value in self.advance().items():
                sums[name] = sums.get(name, 0.0) + value
            if self.step % options.check_steps == 0 or self.step == options.steps:
                self._check(folder, sums, (time.monotonic() - start) / (self.step - begun), tell)
                sums = {}
        return True

    def advance(self) -> dict[str, float]:
        """Make one step; return the losses before it."""
        options = self.optimisation
        self.network.pose.train(self._drops)
        torch.manual_seed(options.seed * 1_000_003 + self.step)  # of dropout
        losses = self.losses(self.data.batch(options.batch_size, self.step, options.seed))
        loss = total(losses, self.weights)
        if not torch.isfinite(loss):
            broken = [name for name, value in losses.items() if not torch.isfinite(value)]
            raise HandmeshError(
                f"The loss is not a number at step {self.step} ({', '.join(broken)}): go on from "
                "the last checkpoint with a lower learning rate."
            )
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(list(self._trained.values()), options.gradient_clip)
        for group in self._optimiser.param_groups:
            group["lr"] = options.learning_rate * self._rate()
        self._optimiser.step()
        self.step += 1
        decay = min(options.ema_decay, self.step / (self.step + 10))
        with torch.no_grad():
            for name, parameter in self._trained.items():
                self._average[name].lerp_(parameter, 1 - decay)
        return {"total": float(loss.detach()), **{n: float(v.detach()) for n, v in losses.items()}}

    @torch.no_grad()
    def held_out_losses(self) -> dict[str, float]:
        """Return the averaged weights' losses on held-out crops."""
        kept = self._exchange(self._average)
        self.network.eval()
        batch, count = self.data.held_out, len(self.data.held_out["is_hand"])
        sums: dict[str, float] = {}
        for first in range(0, count, _HELD_OUT_ROWS):
            rows = take(batch, slice(first, first + _HELD_OUT_ROWS))
            losses = self.losses(rows)
            losses["total"] = total(losses, self.weights)
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + float(value) * len(rows["is_hand"]) / count
        self._exchange(kept)
        return sums

    def save(self, path: Path) -> None:
        """Write a checkpoint to go on from; `load_any` gives the averaged weights."""
        kept = self._exchange(self._average)
        state = {f"network.{n}": v.detach().clone() for n, v in self.network.state_dict().items()}
        self._exchange(kept)
        content: dict[str, Any] = {
            "hyper_parameters": {REFINEMENT: {}, "optimisation": asdict(self.optimisation)},
            "state_dict": state,
            "trained": {name: p.detach() for name, p in self._trained.items()},
            "optimiser": self._optimiser.state_dict(),
            "global_step": self.step,
            "best": self.best,
        }
        partial = path.with_suffix(".partial")
        torch.save(content, partial)
        partial.replace(path)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint of the same run.

        Raises:
            HandmeshError: it is of another run.
        """
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
            options = content["hyper_parameters"]["optimisation"]
            same = {"steps": self.optimisation.steps, "only": self.optimisation.only}
            if {name: options[name] for name in same} != same:
                raise HandmeshError(
                    f"{path} is of a run with other settings: give another output folder."
                )
            state = {n.removeprefix("network."): v for n, v in content["state_dict"].items()}
            self.network.load_state_dict(state)
            for name, average in self._average.items():
                average.copy_(self._trained[name].detach())
            self._exchange(content["trained"])
            self._optimiser.load_state_dict(content["optimiser"])
            self.step, self.best = int(content["global_step"]), float(content["best"])
        except (KeyError, RuntimeError, ValueError, EOFError) as error:
            raise HandmeshError(
                f"{path} is no checkpoint of this training ({type(error).__name__}): give another "
                "output folder."
            ) from error

    @torch.no_grad()
    def _exchange(self, values: dict[str, Tensor]) -> dict[str, Tensor]:
        """Put values into the trained parameters; return what they were."""
        before = {name: p.detach().clone() for name, p in self._trained.items()}
        for name, parameter in self._trained.items():
            parameter.copy_(values[name])
        return before

    def _rate(self) -> float:
        options = self.optimisation
        ramp = min(1.0, (self.step + 1) / max(options.warmup_steps, 1))
        return ramp * 0.5 * (1 + math.cos(math.pi * self.step / options.steps))

    def _check(
        self,
        folder: Path,
        sums: dict[str, float],
        seconds: float,
        tell: Callable[[str], None],
    ) -> None:
        count = (self.step - 1) % self.optimisation.check_steps + 1
        held_out = self.held_out_losses()
        row = {
            "step": self.step,
            "train": {name: round(value / count, 5) for name, value in sums.items()},
            "held_out": {name: round(value, 5) for name, value in held_out.items()},
        }
        with (folder / LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        tell(
            f"step {self.step}: loss {sums['total'] / count:.3f}, held out "
            f"{held_out['total']:.3f}, {self.optimisation.batch_size / seconds:.0f} crops/s"
        )
        if held_out["total"] < self.best:
            self.best = held_out["total"]
            kept = self._exchange(self._average)
            save_refinement(self.network, folder / BEST)
            self._exchange(kept)
        self.save(folder / LAST)
