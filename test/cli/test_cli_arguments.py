import argparse

import pytest

from handmesh_ros.cli.main import main
from handmesh_ros.common.arguments import checked, count, namespace, number
from handmesh_ros.errors import HandmeshError


def test_numbers_inside_their_range():
    assert number(0, 1)("1") == 1.0 and number(0)("2.5") == 2.5
    assert count()("1") == 1 and count(0)("9" * 400) == int("9" * 400)


@pytest.mark.parametrize("text", ["-0.1", "1.1", "nan", "inf", "half", ""])
def test_no_number_from_0_to_1(text):
    with pytest.raises(argparse.ArgumentTypeError, match="is not a number from 0 to 1"):
        number(0, 1)(text)


@pytest.mark.parametrize("text", ["0", "-3", "2.5", "inf", "many"])
def test_no_whole_number_of_at_least_1(text):
    with pytest.raises(argparse.ArgumentTypeError, match="is not a whole number of at least 1"):
        count()(text)


@pytest.mark.parametrize("text", ["", "/", "robot", "/robot/left_1"])
def test_namespaces(text):
    assert namespace(text) == text


@pytest.mark.parametrize("text", ["9x", "/a//b", "b c!", "robot/", "a-b"])
def test_what_ros_would_not_take_as_a_namespace(text):
    with pytest.raises(HandmeshError, match="is no ROS name: give letters"):
        namespace(text)


def test_our_sentences_become_the_parsers():
    def parse(text):
        raise HandmeshError(f"{text} is no colour: take red.")

    with pytest.raises(argparse.ArgumentTypeError, match="loud is no colour: take red."):
        checked(parse)("loud")


def test_large_limits_are_written_with_all_their_digits():
    with pytest.raises(argparse.ArgumentTypeError, match="from 1 to 250000000$"):
        count(1, 250_000_000)("0")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--no-refine", "--effort", "best"], "best needs the refinement network"),
        (["--no-refine", "--refinement-model", "refine"], "exclude each other"),
    ],
)
def test_options_that_contradict_are_refused(capsys, tmp_path, options, reason):
    with pytest.raises(SystemExit) as ended:
        main(["detect", str(tmp_path), *options])
    assert ended.value.code == 2 and reason in capsys.readouterr().err
