from __future__ import annotations

import builtins
import json
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from found_hands import TEMPLATE, flat_hands, found

from handmesh_ros.cli.main import main
from handmesh_ros.common.output_paths import Originals
from handmesh_ros.errors import HandmeshError

gl = pytest.importorskip("pygltflib", reason="needs pygltflib: pip install '.[view]'")
from handmesh_ros.visualization.gltf import GlbWriter, HandScene  # noqa: E402

WEB = Path(__file__).parents[2] / "web"
TWO = ((True, (0.1, 0.05, 0.5)), (False, (-0.1, 0.0, 0.6)))


@pytest.fixture
def validate(tmp_path):
    """Return the messages of Khronos' glTF-Validator about a file's content."""
    if not (shutil.which("node") and (WEB / "node_modules" / "gltf-validator").is_dir()):
        pytest.skip("needs node and gltf-validator: run `npm ci` in web/")

    def run(content: bytes) -> list[dict]:
        path = tmp_path / "validated.glb"
        path.write_bytes(content)
        command = ["node", str(WEB / "validate.mjs"), str(path)]
        result = subprocess.run(command, capture_output=True, check=True, text=True)
        return json.loads(result.stdout)["issues"]

    return run


def photo_scene(*placed) -> bytes:
    scene = HandScene("photo.jpg")
    scene.add(found(flat_hands(*placed)))
    return scene.glb()


def clip_scene() -> bytes:
    """Three frames: one hand, two, and the second of them alone."""
    scene = HandScene("clip.mp4")
    frames = [
        (flat_hands(TWO[0]), (1,), 2.0),
        (flat_hands(*TWO), (1, 2), 2.1),
        (flat_hands(TWO[1]), (2,), 2.3),
    ]
    for index, (hands, ids, time_s) in enumerate(frames):
        scene.add(found(hands, "clip.mp4", index=index, time_s=time_s, track_id=ids))
    return scene.glb()


def values(gltf, accessor: int) -> np.ndarray:
    """Read an accessor back."""
    one = gltf.accessors[accessor]
    view = gltf.bufferViews[one.bufferView]
    kind = {gl.FLOAT: np.float32, gl.UNSIGNED_SHORT: np.uint16}[one.componentType]
    content = gltf.binary_blob()[view.byteOffset : view.byteOffset + view.byteLength]
    return np.frombuffer(content, kind).reshape(one.count, -1)


def parse(content: bytes):
    return gl.GLTF2.load_from_bytes(content)


def node_named(gltf, name: str):
    (node,) = [node for node in gltf.nodes if node.name == name]
    return node


def test_a_photograph_holds_the_meshes_as_they_were_found():
    hands = flat_hands(*TWO)
    gltf = parse(photo_scene(*TWO))
    for index, name in enumerate(("right_hand_0", "left_hand_1")):
        node = node_named(gltf, name)
        (primitive,) = gltf.meshes[node.mesh].primitives
        positions = values(gltf, primitive.attributes.POSITION)
        np.testing.assert_array_equal(positions, hands.vertices[index])
        bounds = gltf.accessors[primitive.attributes.POSITION]
        np.testing.assert_allclose(bounds.min, positions.min(axis=0))
        np.testing.assert_allclose(bounds.max, positions.max(axis=0))
        # Normals point out of the closed surface on both sides: its volume is positive.
        corners = positions[values(gltf, primitive.indices).reshape(-1, 3)].astype(np.float64)
        volume = np.linalg.det(corners - positions.mean(axis=0)).sum() / 6
        assert 1e-4 < volume < 1e-3
        outward = values(gltf, primitive.attributes.NORMAL)
        np.testing.assert_allclose(np.linalg.norm(outward, axis=1), 1.0, atol=1e-5)
        assert np.einsum("vc,vc->v", outward, positions - positions.mean(axis=0)).mean() > 0
        tip = gltf.nodes[node.children[4]]
        assert tip.name == f"{name}/thumb_tip"
        np.testing.assert_allclose(tip.translation, hands.joints[index, 4], atol=1e-6)
    assert node_named(gltf, "left_hand_1").extras["handedness"] == "left"


def test_frame_material_and_colours_are_what_viewers_need():
    gltf = parse(photo_scene(*TWO))
    root = node_named(gltf, "camera_optical_frame")
    assert root.rotation == [1, 0, 0, 0]  # x, y, z → x, -y, -z: y up, hands before a -z camera
    (material,) = gltf.materials
    assert material.doubleSided and material.pbrMetallicRoughness.metallicFactor == 0
    assert material.pbrMetallicRoughness.roughnessFactor == 1
    color = gltf.meshes[0].primitives[0].attributes.COLOR_0
    assert gltf.accessors[color].normalized
    # 200 of sRGB is 0.5776 in linear light (IEC 61966-2-1).
    np.testing.assert_allclose(values(gltf, color)[0] / 65535, [0.5776] * 3 + [1], atol=1e-4)
    camera = gltf.cameras[node_named(gltf, "camera").camera].perspective
    assert camera.aspectRatio == pytest.approx(640 / 480)
    assert np.rad2deg(2 * np.arctan(np.tan(camera.yfov / 2) * 640 / 480)) == pytest.approx(60)


def shown_at(gltf, time_s: float) -> set[str]:
    """Play the animation: the names of the mesh nodes of scale 1."""
    (animation,) = gltf.animations
    names = set()
    for channel in animation.channels:
        sampler = animation.samplers[channel.sampler]
        assert (sampler.interpolation, channel.target.path) == ("STEP", "scale")
        keys = values(gltf, sampler.input)[:, 0]
        assert (np.diff(keys) > 0).all()
        before = max(int(np.searchsorted(keys, time_s, side="right")) - 1, 0)
        scale = values(gltf, sampler.output)[before]
        if scale[0] == 1:
            names.add(gltf.nodes[channel.target.node].name)
    return names


def test_a_clip_shows_each_frame_at_its_time():
    gltf = parse(clip_scene())
    first, both = {"right_hand_1/frame_0"}, {"right_hand_1/frame_1", "left_hand_2/frame_1"}
    assert shown_at(gltf, 0.0) == shown_at(gltf, 0.09) == first
    assert shown_at(gltf, 0.11) == shown_at(gltf, 0.29) == both
    assert shown_at(gltf, 0.31) == shown_at(gltf, 9.0) == {"left_hand_2/frame_2"}
    assert len(gltf.animations[0].channels) == 4
    at_rest = [
        node.name for node in gltf.nodes if node.scale == [1, 1, 1] and node.mesh is not None
    ]
    assert at_rest == ["right_hand_1/frame_0"]


@pytest.mark.parametrize("make", [lambda: photo_scene(*TWO), clip_scene], ids=["photo", "clip"])
def test_the_validator_finds_nothing_to_correct(validate, make):
    issues = validate(make())
    assert {issue["code"] for issue in issues} <= {"NODE_EMPTY"}, issues  # keypoints have no mesh


def test_repeated_times_still_give_rising_keys(validate):
    scene = HandScene("clip.mp4")
    for index, time_s in enumerate((0.0, 0.0, 0.0, 0.1)):
        one = found(flat_hands(TWO[0]), index=index, time_s=time_s, track_id=(1,))
        scene.add(one)
    assert not [issue for issue in validate(scene.glb()) if issue["severity"] < 2]


def test_nothing_is_written_without_hands_or_when_interrupted(tmp_path):
    writer = GlbWriter(tmp_path, Originals([]))
    empty = found(flat_hands())
    with writer.writing(empty.source):
        writer.add(empty)
    with pytest.raises(KeyboardInterrupt), writer.writing(empty.source):
        writer.add(found(flat_hands(TWO[0])))
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(HandmeshError), writer.writing(empty.source):  # a video that ends early
        writer.add(found(flat_hands(TWO[0]), index=0, time_s=0.0))
        raise HandmeshError("It is damaged.")
    assert [path.name for path in tmp_path.iterdir()] == ["photo_3.glb"]


def test_detect_writes_a_glb_for_every_source(tiny_model, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    cv2.imwrite(str(folder / "a.jpg"), np.full((60, 80, 3), 128, np.uint8))
    cv2.imwrite(str(folder / "a.png"), np.full((60, 80, 3), 128, np.uint8))
    video = cv2.VideoWriter(
        str(folder / "clip.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 10.0, (64, 48)
    )
    for _ in range(4):
        video.write(np.full((48, 64, 3), 128, np.uint8))
    video.release()
    target = tmp_path / "out"
    command = ["detect", str(folder), "--model", str(tiny_model), "--glb", str(target)]
    assert main(command) == 0
    assert sorted(path.name for path in target.iterdir()) == ["a.glb", "a_2.glb", "clip.glb"]
    gltf = parse((target / "clip.glb").read_bytes())
    assert len(gltf.meshes) == 8 and len(gltf.animations[0].channels) == 8
    assert values(gltf, gltf.meshes[0].primitives[0].attributes.POSITION).shape == (
        len(TEMPLATE.template),
        3,
    )


def test_bad_places_and_missing_packages_are_one_sentence(
    tiny_model, tmp_path, capsys, monkeypatch
):
    photo = tmp_path / "a.png"
    cv2.imwrite(str(photo), np.full((60, 80, 3), 128, np.uint8))
    command = ["detect", str(photo), "--model", str(tiny_model), "--glb"]
    assert main([*command, str(photo)]) == 1
    assert "it is a file, not a folder" in capsys.readouterr().err
    hidden = builtins.__import__

    def without(name, *rest):
        if name.startswith("pygltflib"):
            raise ModuleNotFoundError("No module named 'pygltflib'", name="pygltflib")
        return hidden(name, *rest)

    monkeypatch.delitem(__import__("sys").modules, "handmesh_ros.visualization.gltf")
    monkeypatch.setattr(builtins, "__import__", without)
    assert main([*command, str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert "--glb needs the package pygltflib" in error and "pip install '.[view]'" in error
    assert "Traceback" not in error and not (tmp_path / "out").exists()


def test_no_hand_at_all_is_said(tiny_model, tmp_path, capsys):
    photo = tmp_path / "a.png"
    cv2.imwrite(str(photo), np.full((60, 80, 3), 128, np.uint8))
    options = ["--model", str(tiny_model), "--threshold", "1", "--glb", str(tmp_path / "out")]
    assert main(["detect", str(photo), *options]) == 0
    assert "No hand was found in 1 image," in capsys.readouterr().err
    assert list((tmp_path / "out").iterdir()) == []
