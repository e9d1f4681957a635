import pickle
import sys
import types

import numpy as np
import pytest
from mano_file import mano_fields, write_mano

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.conventions import KEYPOINT_FROM_MODEL_JOINT
from handmesh_ros.hand.template import HandTemplate


@pytest.fixture
def mano_path(tmp_path):
    path = tmp_path / "MANO_RIGHT.pkl"
    write_mano(path, mano_fields())
    return path


def test_skinning_agrees_with_smplx_within_a_hundredth_of_a_millimetre(mano_path):
    torch = pytest.importorskip("torch", reason="needs torch: run `make test`")
    smplx = pytest.importorskip("smplx", reason="needs smplx: run `make test`")
    from handmesh_ros.hand.model import HandModel, axis_angle_to_matrix

    reference = smplx.create(
        str(mano_path), model_type="mano", use_pca=False, flat_hand_mean=True, batch_size=6
    )
    torch.manual_seed(0)
    angles, shape = 0.6 * torch.randn(6, 16, 3), torch.randn(6, 10)
    with torch.no_grad():
        expected = reference(
            global_orient=angles[:, 0], hand_pose=angles[:, 1:].reshape(6, 45), betas=shape
        )
        model = HandModel(HandTemplate.from_mano(mano_path))
        vertices, keypoints = model(axis_angle_to_matrix(angles), shape, torch.ones(6))
    wrist = expected.joints[:, :1]
    assert (vertices - (expected.vertices - wrist)).norm(dim=-1).max() < 1e-5
    joints = np.array(KEYPOINT_FROM_MODEL_JOINT)
    inner = joints >= 0
    offset = keypoints[:, inner] - (expected.joints[:, joints[inner]] - wrist)
    assert offset.norm(dim=-1).max() < 1e-5


def test_npz_and_pickle_give_the_same_hand(mano_path, tmp_path):
    fields = mano_fields()
    fields["J_regressor"] = fields["J_regressor"].toarray()
    np.savez(tmp_path / "MANO_RIGHT.npz", **fields)
    first = HandTemplate.from_mano(mano_path)
    second = HandTemplate.from_mano(tmp_path / "MANO_RIGHT.npz")
    np.testing.assert_array_equal(first.joint_template, second.joint_template)
    np.testing.assert_array_equal(first.pose_dirs, second.pose_dirs)
    assert first.sha256 != second.sha256
    assert len(first.closed_faces) == len(first.faces) + 15


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_chumpy_arrays_are_read_without_chumpy(tmp_path, monkeypatch, protocol):
    class Ch:
        def __init__(self, **state):
            self.__dict__.update(state)

    class Select(Ch):
        pass

    for name, module in (("chumpy", "chumpy.ch"), ("chumpy", "chumpy.reordering")):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
        monkeypatch.setitem(sys.modules, module, types.ModuleType(module))
    for cls, module in ((Ch, "chumpy.ch"), (Select, "chumpy.reordering")):
        cls.__module__, cls.__qualname__ = module, cls.__name__
        setattr(sys.modules[module], cls.__name__, cls)
    fields = mano_fields()
    whole = np.concatenate([fields["shapedirs"], 0 * fields["shapedirs"]], axis=2)
    chosen = np.arange(whole.size).reshape(whole.shape)[:, :, :10]
    expected = fields["shapedirs"].astype(np.float32)
    fields["shapedirs"] = Select(
        a=Ch(x=whole), idxs=chosen.ravel(), preferred_shape=expected.shape
    )
    fields["v_template"] = Ch(x=fields["v_template"])
    fields["J_regressor"] = fields["J_regressor"].tocsr()
    path = tmp_path / "MANO_RIGHT.pkl"
    path.write_bytes(pickle.dumps(fields, protocol=protocol))
    for name in ("chumpy", "chumpy.ch", "chumpy.reordering"):
        monkeypatch.delitem(sys.modules, name)
    hand = HandTemplate.from_mano(path)
    np.testing.assert_array_equal(hand.shape_dirs, expected)
    np.testing.assert_allclose(
        hand.joint_template, HandTemplate.bundled().joint_template, atol=1e-4
    )


class _Attack:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 5])
@pytest.mark.parametrize("function", [eval, exec, __import__, getattr])
def test_a_pickle_that_calls_functions_is_refused(tmp_path, function, protocol):
    proof = tmp_path / "executed"
    path = tmp_path / "MANO_RIGHT.pkl"
    attack = _Attack(function, f"open({str(proof)!r}, 'w').close()")
    path.write_bytes(pickle.dumps(mano_fields() | {"weights": attack}, protocol=protocol))
    with pytest.raises(HandmeshError, match="asks for"):
        HandTemplate.from_mano(path)
    assert not proof.exists()


def test_a_pickle_cannot_reach_functions_through_numpy(tmp_path):
    path = tmp_path / "MANO_RIGHT.pkl"
    path.write_bytes(b"cnumpy\nsys.modules\n.")
    with pytest.raises(HandmeshError, match="asks for numpy"):
        HandTemplate.from_mano(path)
    path.write_bytes(
        b"ccopy_reg\n_reconstructor\n(c__builtin__\nobject\nc__builtin__\nobject\nNtR."
    )
    with pytest.raises(HandmeshError, match="rebuilds"):
        HandTemplate.from_mano(path)


@pytest.mark.parametrize("length", [0, 1, 100, 20_000])
def test_a_cut_file_is_one_sentence(tmp_path, mano_path, length):
    path = tmp_path / "cut.pkl"
    path.write_bytes(mano_path.read_bytes()[:length])
    with pytest.raises(HandmeshError, match="cut.pkl"):
        HandTemplate.from_mano(path)


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(HandmeshError, match="cannot be opened"):
        HandTemplate.from_mano(tmp_path / "MANO_RIGHT.pkl")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"weights": None}, "lacks weights"),
        ({"weights": np.ones((778, 24)) / 24}, "weights has shape"),
        ({"weights": np.full((778, 16), np.nan)}, "weights has values"),
        ({"shapedirs": np.zeros((778, 2))}, "no MANO hand"),
        ({"f": np.full((4, 3), 900)}, "open wrist|do not exist|boundary"),
        ({"kintree_table": np.zeros((2, 24))}, "24 joints"),
        ({"v_template": "none"}, "no MANO hand"),
    ],
)
def test_foreign_contents_are_one_sentence(tmp_path, change, words):
    fields = mano_fields() | change
    path = tmp_path / "model.pkl"
    write_mano(path, {name: value for name, value in fields.items() if value is not None})
    with pytest.raises(HandmeshError, match=words):
        HandTemplate.from_mano(path)


def test_a_left_hand_is_refused(tmp_path):
    fields = mano_fields()
    fields["v_template"] = fields["v_template"] * (-1, 1, 1)
    path = tmp_path / "MANO_LEFT.pkl"
    write_mano(path, fields)
    with pytest.raises(HandmeshError, match="MANO_RIGHT"):
        HandTemplate.from_mano(path)


@pytest.mark.parametrize("name", ["objects.pkl", "objects.npz"])
def test_arrays_of_objects_are_refused(tmp_path, name):
    fields = mano_fields() | {"weights": mano_fields()["weights"].astype(object)}
    write_mano(tmp_path / "objects.pkl", fields)
    np.savez(tmp_path / "objects.npz", **fields)
    with pytest.raises(HandmeshError, match=f"{name}.*[Oo]bject"):
        HandTemplate.from_mano(tmp_path / name)


def test_a_foreign_hand_model_is_one_sentence(tmp_path):
    path = tmp_path / "hand.npz"
    np.savez(path, weights=np.array([{}], dtype=object))
    with pytest.raises(HandmeshError, match="hand.npz cannot be read.*Object"):
        HandTemplate.load(path)
    bundled = {
        name: value
        for name, value in vars(HandTemplate.bundled()).items()
        if isinstance(value, np.ndarray)
    }
    np.savez(path, **bundled | {"template": np.array("a text")})
    with pytest.raises(HandmeshError, match="hand.npz"):
        HandTemplate.load(path)
