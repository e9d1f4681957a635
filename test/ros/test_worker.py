import threading

from handmesh_ros.ros.worker import NewestItemWorker


def test_a_slow_worker_takes_the_newest_item_and_drops_the_others():
    started, may_go_on, seen = threading.Event(), threading.Event(), []

    def work(item: int) -> None:
        seen.append(item)
        started.set()
        assert may_go_on.wait(5.0)

    worker = NewestItemWorker(work, lambda error: None)
    assert not worker.put(0)
    assert started.wait(5.0)
    dropped = [worker.put(item) for item in (1, 2, 3)]
    started.clear()
    may_go_on.set()
    assert started.wait(5.0)
    assert worker.stop(5.0)
    assert dropped == [False, True, True]
    assert seen == [0, 3]


def test_the_worker_outlives_errors():
    errors, done = [], threading.Event()

    def work(item: int) -> None:
        if item == 0:
            raise ValueError("zero")
        done.set()

    def on_error(error: Exception) -> None:
        errors.append(str(error))
        worker.put(1)

    worker = NewestItemWorker(work, on_error)
    worker.put(0)
    assert done.wait(5.0)
    assert worker.stop(5.0)
    assert errors == ["zero"]


def test_stopping_forgets_what_waits_and_what_comes_later():
    started, seen = threading.Event(), []

    def work(item: int) -> None:
        seen.append(item)
        started.set()
        worker._condition.acquire()  # Until `stop` waits for this item.
        worker._condition.wait_for(lambda: worker._stopping, 5.0)
        worker._condition.release()

    worker = NewestItemWorker(work, lambda error: None)
    worker.put(0)
    assert started.wait(5.0)
    worker.put(1)
    assert worker.stop(5.0)
    worker.put(2)
    assert seen == [0]
