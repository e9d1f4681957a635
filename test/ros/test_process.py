"""The detector as its own process: exit status and the sentences that people see."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "handmesh_ros.ros"]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    env = {**os.environ, **environment}
    return subprocess.run(
        [*COMMAND, *arguments], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize(
    ("module", "words"),
    [("rclpy", "ROS 2 is not in this terminal"), ("handmesh_ros.msg", "are not built")],
)
def test_what_is_missing_is_one_sentence(tmp_path, module, words):
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name}', name=name)\n"
        "sys.meta_path.insert(0, Missing())\n"
    )
    if module != "rclpy":
        pytest.importorskip("rclpy", reason="needs ROS 2: run `make test`")
    path = f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"
    ended = run(PYTHONPATH=path)
    assert ended.returncode == 1
    assert words in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1


@pytest.mark.ros
def test_a_missing_model_ends_the_process_with_one_line(ros):
    ended = run("--ros-args", "-p", "model:=/nowhere/model.onnx")
    assert ended.returncode == 1
    lines = ended.stderr.strip().splitlines()
    assert len(lines) == 1
    assert "There is no model at /nowhere/model.onnx" in lines[0]


@pytest.mark.ros
def test_an_impossible_parameter_ends_the_process_with_one_line(ros):
    ended = run("--ros-args", "-p", "backend:=abacus")
    assert ended.returncode == 1
    assert len(ended.stderr.strip().splitlines()) == 1
    assert "backend" in ended.stderr


@pytest.mark.ros
def test_a_value_out_of_range_is_said_once(ros):
    ended = run("--ros-args", "-p", "score_threshold:=3.0")
    assert ended.stderr == "detector: The parameter score_threshold is 3: give 0 to 1.\n"


@pytest.mark.ros
def test_names_that_nothing_has_are_said(ros, tmp_path):
    path = tmp_path / "robot.yaml"
    path.write_text("/detektor:\n  ros__parameters:\n    max_hands: 1\n")
    given = ["-p", "threshhold:=0.3", "-p", "model:=/nowhere.onnx", "--params-file", str(path)]
    ended = run("--ros-args", *given)
    assert "no parameter 'threshhold': did you mean score_threshold?" in ended.stderr
    assert f"{path} has nothing for /detector (only for /detektor)" in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 3, "these two and the missing model"


@pytest.mark.ros
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--ros-args", "--params-file", "nothere.yaml"], "nothere.yaml cannot be read (No such"),
        (["--ros-args", "--params-file", "/tmp"], "/tmp cannot be read (Is a directory)"),
        (["--ros-args", "-p", "max_hands"], "ROS cannot use these arguments"),
        (["--namespaces", "a", "a"], "has one twice"),
    ],
)
def test_impossible_arguments_are_one_sentence(ros, arguments, words):
    ended = run(*arguments)
    assert ended.returncode == 1
    assert words in ended.stderr and "Traceback" not in ended.stderr
    assert len(ended.stderr.splitlines()) == 1 and "/project" not in ended.stderr


@pytest.mark.ros
@pytest.mark.parametrize("name", ["b c!", "9x"])
def test_a_namespace_that_is_no_name_is_refused_by_the_parser(ros, name):
    ended = run("--namespaces", name)
    assert ended.returncode == 2
    assert f"error: argument --namespaces: The namespace {name!r} is no ROS name" in ended.stderr


@pytest.mark.ros
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_interrupts_end_it_cleanly(ros, tiny_model, how):
    process = subprocess.Popen(
        [*COMMAND, "--ros-args", "-p", f"model:={tiny_model}"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert any("runs on" in line for line in process.stderr)  # after what auto passes over
    process.send_signal(how)
    rest = process.communicate(timeout=20)[1]
    assert process.returncode == 0
    assert "Traceback" not in rest


@pytest.mark.ros
@pytest.mark.parametrize("again", [(signal.SIGINT,), (signal.SIGINT, signal.SIGTERM)])
@pytest.mark.parametrize("apart_s", [0.0, 0.01, 0.1])
def test_more_interrupts_do_not_break_the_good_bye(ros, tiny_model, again, apart_s):
    """As Ctrl-C twice in a terminal does, and `ros2 launch` on top of it."""
    process = subprocess.Popen(
        [*COMMAND, "--ros-args", "-p", f"model:={tiny_model}"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert any("runs on" in line for line in process.stderr)
    for number in (signal.SIGINT, *again):
        process.send_signal(number)
        time.sleep(apart_s)
    rest = process.communicate(timeout=20)[1]
    assert process.returncode == 0
    assert "Traceback" not in rest and "Exception" not in rest, rest


@pytest.mark.ros
def test_an_interrupt_that_is_lost_while_an_object_is_freed_still_ends_it(ros, tmp_path):
    script = tmp_path / "loses_interrupts.py"
    script.write_text(
        "import os, signal\n"
        "from rclpy.node import Node\n"
        "from handmesh_ros.ros.node_utilities import run_node\n"
        "class Freed:\n"
        "    def __del__(self):\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "def make():\n"
        "    node = Node('loses_interrupts')\n"
        "    node.create_timer(0.1, lambda: (Freed(), None)[1])\n"
        "    return node\n"
        "raise SystemExit(run_node('loses_interrupts', '', make))\n"
    )
    process = subprocess.run(
        [sys.executable, script], cwd=ROOT, timeout=60, stderr=subprocess.PIPE
    )
    assert process.returncode == 0
    assert b"Exception ignored" in process.stderr, "nothing was lost, so nothing was tested"


@pytest.mark.ros
@pytest.mark.parametrize("after_s", [0.6, 0.9, 1.3, 1.7])
def test_an_interrupt_at_any_moment_of_the_start_leaves_no_traceback(ros, tiny_model, after_s):
    process = subprocess.Popen(
        [*COMMAND, "--ros-args", "-p", f"model:={tiny_model}"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(after_s)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=20)[1]
    # On a slow machine it may come before Python has a handler of its own.
    assert process.returncode in (0, -signal.SIGINT), said
    assert "Traceback" not in said, said


@pytest.mark.ros
@pytest.mark.parametrize("transition", ["TRANSITION_CLEANUP", 99])
def test_an_impossible_transition_is_refused_and_does_not_end_it(ros, tiny_model, transition):
    from lifecycle_msgs.msg import Transition
    from lifecycle_msgs.srv import ChangeState, GetState

    process = subprocess.Popen(
        [*COMMAND, "--ros-args", "-p", f"model:={tiny_model}", "-r", "__ns:=/process"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    client = ros.create_node("manager")
    try:
        change = client.create_client(ChangeState, "/process/detector/change_state")
        get = client.create_client(GetState, "/process/detector/get_state")
        assert change.wait_for_service(20.0) and get.wait_for_service(20.0)
        request = ChangeState.Request()
        number = getattr(Transition, transition) if isinstance(transition, str) else transition
        request.transition.id = number
        refused = change.call_async(request)
        ros.spin_until_future_complete(client, refused, timeout_sec=10.0)
        assert refused.result() is not None and not refused.result().success
        answer = get.call_async(GetState.Request())
        ros.spin_until_future_complete(client, answer, timeout_sec=10.0)
        assert answer.result().current_state.label == "active"
    finally:
        client.destroy_node()
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=20.0)[1]
    assert process.returncode == 0
    assert f"no transition {number} from the state active: ask for one of deactivate" in said


@pytest.mark.ros
def test_two_detectors_in_one_process_share_the_model(ros, tiny_model, image):
    from handmesh_ros.msg import HandMeshArray

    command = [*COMMAND, "--namespaces", "robot/left", "robot/right"]
    options = ["--ros-args", "-p", f"model:={tiny_model}", "-r", "/robot/left/image:=/left_camera"]
    process = subprocess.Popen(
        [*command, *options, "-p", "track:=false"], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    client = ros.create_node("cameras")
    try:
        answers: dict[str, list] = {"left": [], "right": []}
        topics = {"left": "/left_camera", "right": "/robot/right/image"}
        for side, received in answers.items():
            topic = f"/robot/{side}/hands"
            client.create_subscription(HandMeshArray, topic, received.append, 1)
        cameras = {
            side: client.create_publisher(type(image), topic, 1) for side, topic in topics.items()
        }
        end = time.monotonic() + 40.0
        while not all(answers.values()):
            assert time.monotonic() < end and process.poll() is None
            for side, camera in cameras.items():
                image.header.frame_id = f"{side}_camera"
                camera.publish(image)
            ros.spin_once(client, timeout_sec=0.05)
        frames = {side: {m.header.frame_id for m in got} for side, got in answers.items()}
        assert frames == {"left": {"left_camera"}, "right": {"right_camera"}}
    finally:
        client.destroy_node()
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=20.0)[1]
    assert process.returncode == 0
    assert said.count("runs on") == 2, said


def names_of(ros, process, root, count, wait_s=40.0):
    """The full names of the nodes below `root`, as soon as there are so many."""
    watch = ros.create_node("watch", namespace="/watch")
    try:
        end, names = time.monotonic() + wait_s, set()
        while time.monotonic() < end and process.poll() is None and len(names) < count:
            ros.spin_once(watch, timeout_sec=0.1)
            nodes = watch.get_node_names_and_namespaces()
            names = {f"{space}/{name}" for name, space in nodes if space.startswith(root)}
        return {name.removeprefix(root) for name in names}
    finally:
        watch.destroy_node()


@pytest.mark.ros
@pytest.mark.parametrize(
    ("namespaces", "rule", "expected"),
    [
        (["{root}/a", "{root}/b"], "", {"/a/detector", "/b/detector"}),
        (["a", "b"], "__ns:={root}", {"/a/detector", "/b/detector"}),
        (["a", "b/c"], "__ns:={root}/on", {"/on/a/detector", "/on/b/c/detector"}),
        (["a", "{root}_b"], "detector:__ns:={root}", {"/a/detector", "_b/detector"}),
        (["{root}/a", "{root}/b"], "other:__ns:=/x", {"/a/detector", "/b/detector"}),
    ],
)
def test_detectors_below_a_pushed_namespace_stay_two(
    ros, tiny_model, request, namespaces, rule, expected
):
    root = f"/pushed_{abs(hash(request.node.nodeid)) % 10**8}"  # nodes of before linger a while
    rules = ["-r", rule.format(root=root)] if rule else []
    names = [name.format(root=root) for name in namespaces]
    given = ["--namespaces", *names, "--ros-args", "-p", f"model:={tiny_model}", *rules]
    process = subprocess.Popen([*COMMAND, *given], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        assert names_of(ros, process, root, 2) == expected
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20.0)
    assert process.returncode == 0


@pytest.mark.ros
def test_two_detectors_of_one_name_are_refused(ros, tiny_model):
    given = ["--namespaces", "a", "/robot/a", "--ros-args", "-r", "__ns:=/robot"]
    ended = run(*given, "-p", f"model:={tiny_model}")
    assert ended.returncode == 1
    assert "two detectors would be in /robot/a, each" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
