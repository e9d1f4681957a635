"""Write config/detect.yaml and docs/parameters.md from the parameter schema (`make params`)."""

from pathlib import Path

from handmesh_ros.ros.parameters.schema import to_markdown, to_yaml

ROOT = Path(__file__).resolve().parent.parent

if __name__ == "__main__":
    (ROOT / "config" / "detect.yaml").write_text(to_yaml())
    (ROOT / "docs" / "parameters.md").write_text(to_markdown())
