from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from hail_study.study import Study, StudyError, load

Loading = Callable[..., Study]
Failing = Callable[..., list[str]]


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loading:
    """Load a study from its text; a name is put in front where it has none."""
    monkeypatch.chdir(tmp_path)

    def loading(text: str, *overrides: str, **options: bool) -> Study:
        text = dedent(text).lstrip("\n")
        Path("s.yaml").write_text(text if text.startswith(("name:", "#")) else f"name: s\n{text}")
        return load("s.yaml", overrides, **options)

    return loading


@pytest.fixture
def errors(study: Loading) -> Failing:
    """The lines of the error that loading a text ends in."""

    def failing(text: str, *overrides: str) -> list[str]:
        with pytest.raises(StudyError) as caught:
            study(text, *overrides)
        return str(caught.value).splitlines()

    return failing
