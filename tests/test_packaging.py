"""What is installed is what stands in the tree, declared, pinned and quick to start."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
MAPPED = ("generators", "directions", "apps")
IMPORTED_AS = {"pillow": "PIL", "scikit-learn": "sklearn", "open-clip-torch": "open_clip"}


def code() -> Iterator[tuple[str, Path]]:
    """Yield the dotted name of each package that holds code, and its folder."""
    for name in ("steer", *MAPPED):
        for folder in sorted({path.parent for path in (ROOT / name).rglob("*.py")}):
            parts = folder.relative_to(ROOT).parts
            yield ".".join(parts if name == "steer" else ("steer", *parts)), folder


def requirement_names(requirements: list[str]) -> set[str]:
    names = {re.split(r"[<>=!~\[; ]", requirement, maxsplit=1)[0] for requirement in requirements}
    return {name.lower().replace("_", "-") for name in names} - {"latent-steer"}


@cache
def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {name.lower().replace("_", "-"): version for name, version in pairs}


def test_every_folder_of_code_is_packaged() -> None:
    assert sorted(PROJECT["tool"]["setuptools"]["packages"]) == sorted(name for name, _ in code())


@pytest.mark.parametrize("name", MAPPED)
def test_the_links_that_tools_follow_are_relative(name: str) -> None:
    link = ROOT / "steer" / name
    if not link.is_symlink():
        pytest.skip("checked out without symbolic links")
    assert str(link.readlink()) == f"../{name}"


@pytest.mark.parametrize("name", MAPPED)
def test_a_folder_refuses_its_bare_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    with pytest.raises(ImportError, match=rf"import steer\.{name}, not {name}"):
        import_module(name)


@pytest.mark.parametrize("group", ["steer.generators", "steer.finders", "steer.attributes"])
def test_everything_that_is_announced_can_be_loaded(group: str) -> None:
    announced = PROJECT["project"]["entry-points"][group]
    installed = {entry.name: entry for entry in entry_points(group=group)}
    for name, where in announced.items():
        assert installed[name].value == where, "install again: pip install -e '.[dev]'"
        assert callable(installed[name].load())


def test_what_is_imported_is_declared() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    base = requirement_names(PROJECT["project"]["dependencies"])
    optional = requirement_names([*extras["video"], *extras["text"], *extras["perceptual"], *extras["ray"]])
    known = sys.stdlib_module_names | {"steer"}
    for name, folder in code():
        for path in folder.glob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
            at_the_top = {module for node in tree.body for module in imported(node)} - known
            anywhere = {module for node in ast.walk(tree) for module in imported(node)} - known
            assert at_the_top <= modules(base), f"{name}.{path.stem} imports early what may be missing"
            assert anywhere <= modules(base | optional), f"{name}.{path.stem} imports what is not declared"


def imported(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name.partition(".")[0] for alias in node.names}
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        return {str(node.module).partition(".")[0]}
    return set()


def modules(requirements: set[str]) -> set[str]:
    return {IMPORTED_AS.get(name, name.replace("-", "_")) for name in requirements}


def test_every_requirement_is_pinned_to_one_version() -> None:
    project = PROJECT["project"]
    asked = sum(project["optional-dependencies"].values(), project["dependencies"])
    assert requirement_names(asked) <= pins().keys()
    for name, version in pins().items():
        assert re.fullmatch(r"[0-9][0-9a-z.]*", version), f"{name}: a plain version, without host or build"


def steer(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in its own process and print what it imported last on stderr."""
    script = (
        "import sys, atexit; atexit.register(lambda: print(*sys.modules, file=sys.stderr));"
        f"sys.argv = {['steer', *arguments]!r};"
        "from steer.apps.command_line import main; main()"
    )
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)


def test_help_comes_without_loading_anything_heavy() -> None:
    result = steer("--help")
    assert result.returncode == 0, result.stderr
    assert "studio" in result.stdout
    loaded = set(result.stderr.split())
    assert not loaded & {"torch", "gradio", "diffusers", "sklearn", "matplotlib", "numpy"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy of the tree that holds no symbolic links."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("steer", *MAPPED):
        ignored = ("__pycache__", *(MAPPED if name == "steer" else ()))
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns(*ignored))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = f"import setuptools.build_meta as backend; backend.build_wheel({str(folder)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_a_wheel_holds_all_code_and_data_under_one_name(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    assert {name.split("/")[0] for name in held if ".dist-info/" not in name} == {"steer"}
    wanted = {"*.py", "py.typed", "*.js", "*.css", "*.safetensors", "*.json", "shipped/**/*.md"}
    for name in ("steer", *MAPPED):
        for pattern in wanted:
            for path in (ROOT / name).rglob(pattern):
                parts = path.relative_to(ROOT).parts
                inside = "/".join(parts if name == "steer" else ("steer", *parts))
                assert inside in held or "__pycache__" in inside, f"{inside} is missing from the wheel"


def test_a_wheel_carries_the_licence(wheel: Path) -> None:
    held = zipfile.ZipFile(wheel).namelist()
    assert any(name.endswith("licenses/LICENSE") for name in held)


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_builds_the_environment_once_and_again_when_its_parts_change(tmp_path: Path) -> None:
    def planned() -> str:
        command = ["make", "--dry-run", f"VENV={tmp_path}", "test"]
        return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout

    assert "pip install" in planned()
    (tmp_path / "ready-dev").touch()
    assert "pip install" not in planned()
    os.utime(tmp_path / "ready-dev", (0, 0))  # older than pyproject.toml
    assert "pip install" in planned()
