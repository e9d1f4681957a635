"""Reading what `handmesh train` wrote."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from handmesh_ros.common.files import write_whole
from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.conventions import CROP_SIDE
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.network.config import NetworkConfig
from handmesh_ros.network.contract import CROPS, IMAGE
from handmesh_ros.network.model import HandNetwork
from handmesh_ros.network.refinement import MAX_CROPS, RefinementNetwork

REFINEMENT = "refinement"
"""Section of a checkpoint's settings that marks a refinement network."""


def load_checkpoint(path: str | Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Return a checkpoint's hyperparameters and its network's weights.

    Raises:
        HandmeshError: the file cannot be read or is no checkpoint of this network.
    """
    content = _read(path)
    settings, states = content["hyper_parameters"], content["state_dict"]
    prefix = "network."
    state = {n[len(prefix) :]: t for n, t in states.items() if n.startswith(prefix)}
    return settings, state


def save_weights(
    source: str | Path,
    target: str | Path,
    input_size: tuple[int, int] | None = None,
    mean_with: Sequence[str | Path] = (),
) -> None:
    """Write a checkpoint's weights alone, in float16: an eighth of the size, to start from.

    Args:
        source: checkpoint of `handmesh train`.
        target: .ckpt file; `load_checkpoint` and `start_from` take it as any other.
        input_size: (height, width) of the network that it will make, pixels; None for that of
            training.
        mean_with: other checkpoints; the mean of all is written. Weights that were trained on from
            the same start do better together than each alone (Wortsman et al., Model soups, 2022).

    Raises:
        HandmeshError: a file cannot be read, or the checkpoints are not of one network.
    """
    settings, state = load_checkpoint(source)
    others = [load_checkpoint(path)[1] for path in mean_with]
    for path, other in zip(mean_with, others, strict=True):
        if _shapes(other) != _shapes(state):
            raise HandmeshError(
                f"{path} and {source} have other weights: only checkpoints of the same network "
                "have a mean."
            )
    for name, values in state.items():
        if others and values.is_floating_point():
            same = [values, *(other[name] for other in others)]
            state[name] = torch.stack([one.float() for one in same]).mean(0)
    settings["network"] = asdict(_sizes(settings, input_size))
    weights = {
        f"network.{name}": values.half() if values.is_floating_point() else values
        for name, values in state.items()
    }
    content = io.BytesIO()
    torch.save({"hyper_parameters": settings, "state_dict": weights}, content)
    write_whole(Path(target), content.getbuffer())


def _shapes(state: dict[str, torch.Tensor]) -> dict[str, torch.Size]:
    return {name: values.shape for name, values in state.items()}


def trained_steps(path: str | Path) -> int:
    """Return the optimiser steps behind a checkpoint; 0 where there is no such file.

    Raises:
        HandmeshError: the file is no checkpoint of this network.
    """
    return int(_read(path).get("global_step", 0)) if Path(path).exists() else 0


def _read(path: str | Path) -> dict[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        content["hyper_parameters"], content["state_dict"]
    except FileNotFoundError as error:
        raise HandmeshError(f"There is no checkpoint {path}.") from error
    except Exception as error:  # torch raises a dozen kinds for damaged files
        raise HandmeshError(
            f"{path} is not a training checkpoint of handmesh_ros ({type(error).__name__}): "
            "give a .ckpt file that `handmesh train` wrote."
        ) from error
    return dict(content)


def load_any(
    checkpoint: str | Path, input_size: tuple[int, int] | None = None
) -> HandNetwork | RefinementNetwork:
    """Return the network of a checkpoint, the single-stage or the refinement one.

    Arguments and errors are those of `load_network`; a refinement network has no other input size.
    """
    settings, state = load_checkpoint(checkpoint)
    if REFINEMENT not in settings:
        return load_network(checkpoint, input_size)
    if input_size is not None:
        raise HandmeshError(
            f"{checkpoint} is a refinement network, whose crops have one size: leave the input "
            "size out."
        )
    network = RefinementNetwork(HandTemplate.bundled(), **settings[REFINEMENT])
    _load_state(network, state, checkpoint)
    return network.eval()


def interface_of(
    network: HandNetwork | RefinementNetwork,
) -> tuple[str, tuple[int, int], int]:
    """Return what a network takes, its input's height and width, and how many hands at most."""
    if isinstance(network, RefinementNetwork):
        return CROPS, (CROP_SIDE, CROP_SIDE), MAX_CROPS
    return IMAGE, network.config.input_shape, network.config.max_hands


def save_refinement(
    network: RefinementNetwork, path: str | Path, settings: dict[str, Any] | None = None
) -> None:
    """Write a refinement network as a checkpoint, in float16.

    Args:
        network: any state.
        path: .ckpt file.
        settings: arguments of `RefinementNetwork` other than its defaults.
    """
    weights = {f"network.{name}": v.detach().half() for name, v in network.state_dict().items()}
    torch.save({"hyper_parameters": {REFINEMENT: settings or {}}, "state_dict": weights}, path)


def load_network(checkpoint: str | Path, input_size: tuple[int, int] | None = None) -> HandNetwork:
    """Return the single-stage network of a checkpoint, in evaluation mode.

    Args:
        checkpoint: that `handmesh train` or `save_weights` wrote.
        input_size: (height, width) of its input image, pixels; None for that of training.

    Raises:
        HandmeshError: the file is no checkpoint of this network, or there is no such size.
    """
    settings, _ = load_checkpoint(checkpoint)
    if "network" not in settings:
        raise HandmeshError(
            f"{checkpoint} is not a single-stage network: give a .ckpt file that `handmesh train` "
            "wrote."
        )
    network = HandNetwork(_sizes(settings, input_size), HandTemplate.bundled())
    load_weights(network, checkpoint)
    return network.eval()


def _sizes(settings: dict[str, Any], input_size: tuple[int, int] | None) -> NetworkConfig:
    sizes = NetworkConfig(**settings["network"])
    if input_size is None:
        return sizes
    height, width = input_size
    return replace(sizes, input_size=width, input_height=0 if height == width else height)


def load_weights(network: HandNetwork, checkpoint: str | Path) -> None:
    """Put a checkpoint's weights into a network.

    A checkpoint from before there was a lifter leaves it as it starts: it changes nothing then.

    Raises:
        HandmeshError: the file is no checkpoint of this network.
    """
    _, state = load_checkpoint(checkpoint)
    if not any(name.startswith("lifter.") for name in state):
        state.update({f"lifter.{n}": values for n, values in network.lifter.state_dict().items()})
    _load_state(network, state, checkpoint)


def _load_state(
    network: torch.nn.Module, state: dict[str, torch.Tensor], checkpoint: str | Path
) -> None:
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise HandmeshError(
            f"The weights in {checkpoint} do not fit this version's network: train again, or use "
            "the version that trained them."
        ) from error
