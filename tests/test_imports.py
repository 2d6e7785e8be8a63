"""Who may import what: the rooms stay separate, and a study file is checked without anything heavy."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "hail_study"

FORBIDDEN = {
    "study": {"torch", "ray", "mlflow", "optuna"},
    "data": {"torch", "ray", "mlflow", "optuna"},
    "models": {"ray", "mlflow", "optuna"},
    "objectives": {"ray", "mlflow", "optuna"},
    "tasks": {"ray", "mlflow", "optuna"},
    "training": {"ray", "mlflow", "optuna"},
    "record": {"torch", "ray", "optuna"},
    "report": {"torch", "ray"},
}
INNER = {
    "study": {"data", "tasks", "models", "objectives", "training", "record", "execution", "report"},
    "data": {"tasks", "models", "objectives", "training", "record", "execution", "report"},
    "models": {"objectives", "tasks", "training", "record", "execution", "report"},
    "objectives": {"tasks", "training", "record", "execution", "report"},
    "tasks": {"record", "execution", "report"},
    "training": {"record", "execution", "report"},
    "record": {"tasks", "models", "objectives", "execution", "report"},
    "report": {"tasks", "models", "objectives", "execution"},
}


def imported(path: Path) -> set[str]:
    """Modules that a file imports anywhere, those under `if TYPE_CHECKING` left out."""
    tree = ast.parse(path.read_text())
    typing_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for node in ast.walk(block)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


@pytest.mark.parametrize("room", sorted(FORBIDDEN))
def test_a_room_imports_only_what_it_may(room):
    files = sorted((PACKAGE / room).rglob("*.py"))
    assert files
    for path in files:
        for module in imported(path):
            top, _, rest = module.partition(".")
            assert top not in FORBIDDEN[room], f"{path.name} imports {module}"
            if top == "hail_study":
                assert rest.split(".")[0] not in INNER[room], f"{path.name} imports {module}"


def test_help_and_a_bad_study_file_load_nothing_heavy(tmp_path):
    bad = tmp_path / "bad.yaml"
    bad.write_text("name: bad\nbase:\n  encoder:\n    nmae: sasrec\n")
    script = (
        "import sys\n"
        "from hail_study.run import main\n"
        "try: status = main(sys.argv[1:])\n"
        "except SystemExit as stop: status = stop.code\n"
        "heavy = {'torch', 'ray', 'mlflow', 'optuna', 'pandas', 'scipy', 'matplotlib'} & set(sys.modules)\n"
        "print(status, sorted(heavy))"
    )
    for arguments, status in (["--help"], 0), ([str(bad)], 2):
        done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == f"{status} []", done.stdout + done.stderr


def test_what_drives_a_study_leaves_torch_to_the_workers():
    names = "driver running tune hosts packed baselines models losses idle recording sources"
    script = f"import sys\nfrom hail_study.execution import {', '.join(names.split())}\nprint('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
