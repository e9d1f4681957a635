from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from handmesh_ros.cli.doctor import package
from handmesh_ros.common.imports import explain, plain_errors
from handmesh_ros.errors import HandmeshError
from handmesh_ros.inference.backends.selection import open_backend

NUMPY_2_SAYS = """
import sys
sys.stderr.write("A module that was compiled using NumPy 1.x cannot be run in NumPy 2.2.6\\n"
                 "Traceback (most recent call last):  File ...\\n")
"""
CASES = {
    "built for NumPy 1, with words": (
        NUMPY_2_SAYS + "raise ImportError('numpy.core.multiarray failed to import')",
        "NumPy 2): pip install 'numpy<2'.",
    ),
    "built for NumPy 1, without words": (
        NUMPY_2_SAYS + "raise ImportError",
        "NumPy 2): pip install 'numpy<2'.",
    ),
    "a library of the system": (
        "raise ImportError('libGL.so.1: cannot open shared object file: No such file')",
        "install the system's package that has libGL.so.1 (apt install libgl1).",
    ),
    "anything": (
        "raise ImportError('two lines\\nof words')",
        "(of words): pip install --force-reinstall '.[train]'.",
    ),
}


@pytest.fixture(params=CASES, ids=lambda name: name)
def broken(request, tmp_path, monkeypatch):
    """Return the name of a package that does not load, its folder, and what must be said."""
    source, said = CASES[request.param]
    (tmp_path / "broken_package.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.delitem(sys.modules, "broken_package", raising=False)
    return "broken_package", said


def test_what_does_not_load_is_one_sentence_with_what_mends_it(broken, capsys):
    name, said = broken
    with pytest.raises(ImportError) as error, plain_errors():
        __import__(name)
    sentence = str(explain(error.value, "`handmesh fake`", ".[train]"))
    assert sentence.startswith(f"`handmesh fake` needs the package {name}, which does not load")
    assert sentence.endswith(said) and "\n" not in sentence
    assert "Traceback" not in capsys.readouterr().err


def test_doctor_imports_what_it_lists(broken):
    name, said = broken
    finding = package("Broken", name, "runs things", "pip install broken", essential=True)
    assert not finding.found and "but it does not load" in finding.detail
    mend = said.rpartition(": ")[2].rstrip(".")
    assert finding.detail.endswith("pip install broken" if "force" in mend else mend)


def test_doctor_survives_a_package_that_ends_the_program(tmp_path, monkeypatch):
    (tmp_path / "deadly_package.py").write_text("import os; os._exit(3)")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    finding = package("Deadly", "deadly_package", "runs things", "get another")
    assert not finding.found and "it ends the program" in finding.detail


def test_a_backend_that_does_not_load(tmp_path, monkeypatch, tiny_model, capsys):
    (tmp_path / "onnxruntime.py").write_text(NUMPY_2_SAYS + "raise ImportError")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "onnxruntime"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(HandmeshError, match="pip install 'numpy<2'.$"):
        open_backend(tiny_model, "onnxruntime")
    assert "Traceback" not in capsys.readouterr().err


def test_what_packages_print_otherwise_is_kept(tmp_path, monkeypatch, capsys):
    (tmp_path / "chatty_package.py").write_text("import sys; sys.stderr.write('a word')")
    monkeypatch.syspath_prepend(tmp_path)
    with plain_errors():
        import chatty_package  # noqa: F401
    assert capsys.readouterr().err == "a word"


def test_a_logger_that_is_made_meanwhile_still_reaches_the_stream(tmp_path, monkeypatch, capsys):
    """Lightning and absl make theirs when they are imported."""
    text = "import logging\nhandler = logging.StreamHandler()\nhandler.stream.fileno"
    (tmp_path / "logging_package.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with plain_errors():
        import logging_package
    logging_package.handler.emit(logging.makeLogRecord({"msg": "later"}))
    assert capsys.readouterr().err == "later\n"


def test_a_logger_that_is_made_meanwhile_cannot_close_the_stream(tmp_path, monkeypatch, capsys):
    """As absl's does when `logging` is shut down or configured again."""
    text = "import logging\nhandler = logging.StreamHandler()"
    (tmp_path / "closing_package.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with plain_errors():
        import closing_package
    closing_package.handler.stream.close()
    print("still open", file=sys.stderr)
    assert capsys.readouterr().err == "still open\n"


def test_a_mistake_of_our_own_is_no_package_that_is_missing():
    with pytest.raises(ImportError) as error:
        from handmesh_ros import nothing_of_this_name  # noqa: F401
    assert explain(error.value, "`handmesh fake`", ".") is None


def test_the_detector_names_what_mends_it(broken, tmp_path):
    name, said = broken
    (tmp_path / "rclpy.py").write_text(f"import {name}")
    program = [sys.executable, "-m", "handmesh_ros.ros"]
    done = subprocess.run(program, capture_output=True, text=True, env=environment(tmp_path))
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    mend = said.rpartition(": ")[2]
    assert done.stderr.rstrip().endswith("workspace." if "force" in mend else mend)


def environment(first):
    import os
    from pathlib import Path

    import handmesh_ros

    root = Path(handmesh_ros.__file__).parent.parent
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(first), str(root)])}
