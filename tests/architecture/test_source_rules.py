"""The rules of the house that a machine can hold."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "euhedral"
MODULES = sorted(SOURCE.rglob("*.py"))
MEGABYTE = 1_000_000


def tracked_files() -> list[Path]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).exists()]


def test_no_module_unpickles():
    forbidden = re.compile(
        r"^\s*(import|from)\s+(pickle|dill|joblib|shelve|cloudpickle)\b|\btorch\.load\(|allow_pickle=True", re.MULTILINE
    )
    assert [path.relative_to(ROOT) for path in MODULES if forbidden.search(path.read_text())] == []


def test_no_module_is_longer_than_500_lines():
    assert {path.name: n for path in MODULES if (n := len(path.read_text().splitlines())) > 500} == {}


def test_no_package_is_named_for_leftovers():
    leftovers = {"utils", "util", "common", "helpers", "misc"}
    assert [path for path in SOURCE.rglob("*") if path.stem in leftovers] == []


def test_only_the_command_line_prints():
    printing = []
    for path in MODULES:
        if path.is_relative_to(SOURCE / "cli"):
            continue
        calls = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
        printing += [path for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]
    assert printing == []


def test_only_fetch_reaches_for_the_network():
    network = re.compile(
        r"^\s*(import|from)\s+(urllib\.request|http\.client|requests|httpx|socket|huggingface_hub)\b", re.MULTILINE
    )
    users = {path.relative_to(SOURCE).as_posix() for path in MODULES if network.search(path.read_text())}
    assert users <= {"data/fetch.py"}


def test_no_module_keeps_global_state():
    statements = [
        path for path in MODULES if any(isinstance(node, ast.Global) for node in ast.walk(ast.parse(path.read_text())))
    ]
    assert statements == []


def test_tracked_files_are_small():
    large = {path.name: path.stat().st_size for path in tracked_files() if path.stat().st_size > 10 * MEGABYTE}
    assert large == {}


def test_the_package_is_under_40_megabytes():
    total = sum(path.stat().st_size for path in SOURCE.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    assert total < 40 * MEGABYTE


def test_no_tracked_text_names_a_machine():
    # the pattern is spelt in pieces so that this file does not match itself
    pattern = re.compile(
        "|".join(["/wo" + "rk/", "/ro" + "ot/", "/ho" + r"me/[a-z]+/", "files.python" + "hosted", "pypi" + r"\.org"])
    )
    text = {".py", ".md", ".toml", ".txt", ".json", ".yml", ".cff", ".html", ".js", ".css", ""}
    guilty = [
        path.relative_to(ROOT)
        for path in tracked_files()
        if path.suffix in text and path.stat().st_size < MEGABYTE and pattern.search(path.read_text(errors="ignore"))
    ]
    assert guilty == []
