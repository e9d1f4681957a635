from handmesh_ros.ros.pacing import RateCap, Throttle


def test_a_cap_keeps_its_rate_although_the_input_does_not_divide_evenly():
    cap = RateCap()
    shown = sum(cap.is_due(frame / 30.0, 12.0) for frame in range(300))
    assert 115 <= shown <= 121


def test_a_cap_does_not_catch_up_after_a_pause():
    cap = RateCap()
    assert cap.is_due(0.0, 10.0)
    assert cap.is_due(60.0, 10.0)
    assert not cap.is_due(60.01, 10.0)


def test_input_slower_than_the_cap_passes_whole():
    cap = RateCap()
    assert all(cap.is_due(frame * 0.2, 10.0) for frame in range(20))


def test_a_text_is_said_once_a_period_and_others_meanwhile():
    throttle = Throttle(period_s=5.0)
    assert throttle.allows("a", 0.0)
    assert not throttle.allows("a", 4.0)
    assert throttle.allows("b", 4.0)
    assert throttle.allows("a", 5.5)


def test_texts_that_differ_in_numbers_only_are_one():
    throttle = Throttle(period_s=5.0)
    assert throttle.allows("The depth image is 0.034 s late.", 0.0)
    assert not throttle.allows("The depth image is 3.1e-05 s late.", 0.1)
    assert throttle.allows("The depth image is truncated.", 0.2)
