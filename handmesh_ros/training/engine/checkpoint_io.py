"""How checkpoints are written: a killed training never loses the one that it has."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from handmesh_ros.common.files import write_whole
from handmesh_ros.errors import HandmeshError


class WholeCheckpointIO(TorchCheckpointIO):
    """Writes beside the old checkpoint and replaces it in one step.

    Lightning's own writes to the system's temporary folder and moves the file: from another disk
    that is a copy over the old checkpoint, and a kill meanwhile leaves neither.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Write a checkpoint.

        Raises:
            HandmeshError: it cannot be written; an older one stays.
        """
        content = io.BytesIO()
        torch.save(checkpoint, content)
        target = Path(path)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            write_whole(target, content.getbuffer())
        except OSError as error:
            raise HandmeshError(
                f"The checkpoint {target} cannot be written ({error.strerror}): make room or "
                "choose another --output, and run the same command again to go on."
            ) from error
