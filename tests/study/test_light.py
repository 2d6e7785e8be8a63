"""Reading a study file, right or wrong, imports nothing heavy."""

import subprocess
import sys

HEAVY = ("torch", "ray", "mlflow", "optuna", "pandas", "numpy", "scipy", "matplotlib")


def test_a_study_file_is_read_without_heavy_imports(tmp_path) -> None:
    (tmp_path / "s.yaml").write_text("name: s\nvary: {peers.count: [1, 2]}\nclaims: [peers.count=1 < reference]\n")
    code = (
        "import sys; from hail_study.study import code_version, load; load(sys.argv[1]); code_version(['json']); "
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "s.yaml")], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
