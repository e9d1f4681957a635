import argparse

import pytest

from handmesh_ros.errors import HandmeshError
from handmesh_ros.training.export import add_arguments, run


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["model.onnx", "--threshold", "7"], "--threshold is 7: give 0 to 1"),
        (["model.txt"], r"must end with \.onnx"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_written(tmp_path, words, complaint):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    output, *options = words
    args = parser.parse_args(["weights.ckpt", str(tmp_path / output), *options])
    with pytest.raises(HandmeshError, match=complaint):
        run(args)
    assert not list(tmp_path.iterdir())
