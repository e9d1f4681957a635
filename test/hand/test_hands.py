import numpy as np
import pytest

from handmesh_ros.hand.hands import Hands


def hands_of(*scores):
    """Hands that differ in their scores and otherwise are nothing."""
    fields = vars(Hands.empty())
    made = {name: np.zeros((len(scores), *v.shape[1:]), v.dtype) for name, v in fields.items()}
    return Hands(**made | {"score": np.array(scores, np.float32)})


def test_joined_hands_keep_their_order_and_types():
    joined = Hands.joined([hands_of(0.9, 0.2), Hands.empty(), hands_of(0.5)])
    np.testing.assert_allclose(joined.score, [0.9, 0.2, 0.5])
    assert joined.scale_source.dtype == np.uint8 and joined.vertices.dtype == np.float32


def test_hands_of_two_meshes_are_not_joined():
    with pytest.raises(ValueError, match="must match exactly"):
        Hands.joined([hands_of(0.9), Hands.empty(vertex_count=12)])


def test_a_chosen_hand_is_still_hands():
    hands = hands_of(0.9, 0.2, 0.1)
    assert [float(one.score[0]) for one in hands] == pytest.approx([0.9, 0.2, 0.1])
    assert len(hands[-1]) == 1 and hands[-1].score[0] == np.float32(0.1)
    with pytest.raises(IndexError, match="hand 3 of 3"):
        hands[3]


def test_a_field_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"Hands\.score has shape \(1, 1\)"):
        hands_of(0.9).replace(score=np.zeros((1, 1), np.float32))


def test_the_side_is_the_likelier_one_with_its_probability():
    hands = hands_of(0.9, 0.2).replace(right_probability=np.array([0.7, 0.2], np.float32))
    assert hands.handedness.tolist() == [1, 0]
    np.testing.assert_allclose(hands.handedness_score, [0.7, 0.8], rtol=1e-6)
