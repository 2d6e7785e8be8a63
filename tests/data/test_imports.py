import subprocess
import sys


def test_importing_the_room_loads_nothing_heavy() -> None:
    program = "import sys, hail_study.data; print(*{'torch', 'ray', 'mlflow', 'pandas', 'pyarrow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
