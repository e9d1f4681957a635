import argparse

import pytest

from handmesh_ros.errors import HandmeshError
from handmesh_ros.training.export import add_arguments, run


def test_another_ending_is_refused_before_anything_is_written(tmp_path):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    args = parser.parse_args(["weights.ckpt", str(tmp_path / "model.txt")])
    with pytest.raises(HandmeshError, match=r"must end with \.onnx"):
        run(args)
    assert not list(tmp_path.iterdir())
