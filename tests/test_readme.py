"""What the README says runs as it stands."""

import re
import shlex

import pytest
from PIL import Image

from steer.apps.command_line import main


@pytest.fixture(scope="module")
def readme(root):
    return (root / "README.md").read_text(encoding="utf-8")


def test_its_python_makes_the_picture_above_it(readme, root, tmp_path, monkeypatch):
    code = re.search(r"```python\n(.*?)```", readme, re.DOTALL)[1]
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    with Image.open(tmp_path / "heading.png") as made, Image.open(root / "docs" / "heading.png") as shown:
        assert made.size == shown.size
        drift = max(high for low, high in _difference(made, shown).getextrema())
    assert drift <= 2, "docs/heading.png is no longer what the README's code makes; make it again"


def test_its_commands_are_known(readme, capsys):
    for line in re.findall(r"^steer (.*?)(?:\s+#.*)?$", readme, re.MULTILINE):
        verb = next(word for word in shlex.split(line) if not word.startswith("-"))
        assert main([verb, "--help"]) == 0, line
    capsys.readouterr()


def test_the_files_it_links_to_are_there(readme, root):
    for target in re.findall(r"\]\(([^):]+)\)", readme):
        assert (root / target).exists(), target


def _difference(one, other):
    from PIL import ImageChops

    return ImageChops.difference(one.convert("RGB"), other.convert("RGB"))
