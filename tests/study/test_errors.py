"""Mistakes in a study file: each is one line that names place, setting and what was probably meant."""

import re
from pathlib import Path

import pytest

from hail_study.study import StudyError, load


def matches(line: str, beginning: str) -> bool:
    """Whether a line begins so; `, ...` stands for the other levels, which grow in number."""
    return re.match(re.escape(beginning).replace(r",\ \.\.\.", "[^;]*"), line) is not None


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("base: {encoder: {nmae: sasrec}}", "2:18: base.encoder.nmae: unknown key; did you mean `name`?"),
        ("comptue: {}", "2:1: comptue: unknown key; did you mean `compute`?"),
        ("base: {training: {epochs: many}}", '2:27: base.training.epochs: must be a whole number, not "many"'),
        ("base: {training: {epochs: '3'}}", '2:27: base.training.epochs: must be a whole number, not "3"'),
        ("base: {peers: {count: true}}", "2:23: base.peers.count: must be a whole number, not true"),
        ("base: {peers: {count: 0}}", "2:23: base.peers.count: must be at least 1, not 0"),
        ("compute: {pack: many}", "2:17: compute.pack: must be a number of trials or `auto`"),
        ("compute: {gpus: 1.5}", "2:17: compute.gpus: must be a whole number above 1"),
        ("compute: {pack: 0}", "2:17: compute.pack: must be at least 1, not 0"),
        ("base: {peers: 3}", "2:15: base.peers: must be a mapping, not 3"),
        ("base: {training: {clip: .inf}}", "2:25: base.training.clip: must be finite"),
        (
            "base: {peers: {coupling: mde}}",
            '2:26: base.peers.coupling: "mde" is not one of independent, ...; did you mean `med`?',
        ),
        (
            "base: {peers: {terms: bth}}",
            '2:23: base.peers.terms: "bth" is not one of both, ...; did you mean `both`?',
        ),
        (
            "base: {encoder: {dim: 64, heads: 3}}",
            "2:17: base.encoder: dim (64) must be a multiple of heads (3)",
        ),
        ("data: {path: x.csv}", "2:8: data.path: a key of `file`, not of `planted`"),
        ("data: {source: file}", "2:1: data.path: missing"),
        (
            "data: {source: fle}",
            '2:16: data.source: "fle" is not one of planted, ...; did',
        ),
        ("data: {source: file, path: nowhere.csv}", "2:28: data.path: no such file: nowhere.csv"),
        ("data: {source: file, path: '???'}", "2:28: data.path: needs a value: give it on the command line"),
        ("data: {source: file, path: .}", "2:28: data.path: a folder, not a file"),
        ("compute: {storage: 's3://key:sec/ret@bucket'}", "2:20: compute.storage: credentials do not belong into"),
        ("data: [1]", "2:7: data: must be a mapping, not [1]"),
        ("base:", "2:6: base: must be a mapping, not null"),
        ("remove: {x: {peers.share: [head, [a]]}}", "2:34: remove.x.peers.share[1]: must be true or false, a whole"),
        (
            "search: {space: {peers.alpha: [0]}, scheduler: ahsa}",
            '2:48: search.scheduler: "ahsa" is not one of none, asha',
        ),
        ("vary: {data.source: [file]}", "2:22: vary.data.source[0]: arm `data.source=file`: data.path: missing"),
        ("seeds: []", "2:8: seeds: must not be empty"),
        ("seeds: [1, 1]", "2:8: seeds: 1 is given twice"),
        ("seeds: [0, 12345678901234567890]", "2:12: seeds[1]: must be below 9.22337e+18, not 12345678901234567890"),
        ("search: {space: {peers.alpha: [0]}, seed: 12345678901234567890}", "2:43: search.seed: must be below 4.6"),
        (
            "search: {space: {peers.alpha: [0]}, mirror: foo}",
            "2:45: search.mirror: must be the URI of a database, such",
        ),
        ("seeds: x", "2:8: seeds: must be a number of seeds, a list of seeds or {min: ..., max: ..., until: decided}"),
        ("metrics: {primary: ndgc@10}", "2:20: metrics.primary: not a metric: hr@10, ndcg@10 (any cut-off)"),
        ("metrics: {primary: hr@5}", "2:10: metrics: primary metric hr@5 must be in report"),
        ("metrics: {smallest_effect: {ndgc@10: 1}}", "2:29: metrics.smallest_effect.ndgc@10: not a metric"),
        ("remove: {x: {}}", "2:13: remove.x: must not be empty"),
        ("vary: {peers.count: [{a: 1}]}", "2:22: vary.peers.count[0]: must be true or false, a whole number, a number"),
    ],
)
def test_a_wrong_setting(errors, text: str, error: str) -> None:
    (line,) = errors(text)
    assert matches(line, f"s.yaml:{error}")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            "remove:\n  c: {peers.couplng: x}",
            "3:7: remove.c.peers.couplng: unknown factor; did you mean `peers.coupling`?",
        ),
        ("vary: {epochs: [1]}", "2:8: vary.epochs: unknown factor; did you mean `training.epochs`?"),
        ("vary: {peers: [1]}", "2:8: vary.peers: a section, not a factor; name one of its settings: `peers.count`"),
        ("vary: {peers.count: [1, 0]}", "2:25: vary.peers.count[1]: must be at least 1, not 0"),
        ("cross: {peers.count: [1, x]}", '2:26: cross.peers.count[1]: must be a whole number, not "x"'),
        (
            "arms:\n  - set: {peers.coupling: mde}",
            '3:27: arms[0].set.peers.coupling: "mde" is not one of independent, ...; did you mean `med`?',
        ),
        (
            "add:\n  strip: {peers.count: 1}\n  parts:\n    med: {peers.cuont: 2}",
            "5:11: add.parts.med.peers.cuont: unknown factor; did you mean `peers.count`?",
        ),
        (
            "arms:\n  - {name: odd, set: {encoder.heads: 3}}",
            "3:5: arms[0]: arm `odd`: encoder: dim (64) must be a multiple of heads (3)",
        ),
        (
            "cross:\n  encoder.heads: [2, 3]\n  encoder.dim: [66, 64]",
            "4:21: cross.encoder.dim[1]: arm `encoder.heads=3,encoder.dim=64`: encoder: dim (64) must be",
        ),
        ("arms:\n  - {name: reference, set: {peers.count: 4}}", "3:5: arms[0]: the name `reference` already belongs"),
        (
            "data: {max_length: 20}\nvary: {data.stride: [10, 30]}",
            "3:26: vary.data.stride[1]: arm `data.stride=30`: data: stride (30) can be at most max_length (20)",
        ),
        ("vary: {data.path: [nowhere.csv]}", "2:20: vary.data.path[0]: a key of `file`, not of `planted`"),
        (
            "arms:\n  - {name: f, set: {data.source: file, data.path: nowhere.csv}}",
            "3:51: arms[0].set.data.path: no such file: nowhere.csv",
        ),
    ],
)
def test_a_wrong_arm(errors, text: str, error: str) -> None:
    (line,) = errors(text)
    assert matches(line, f"s.yaml:{error}")


@pytest.mark.parametrize(
    ("space", "error"),
    [
        ("{}", "4:10: search.space: must not be empty"),
        ("{peers.alhpa: [1]}", "4:11: search.space.peers.alhpa: unknown factor; did you mean `peers.alpha`?"),
        ("{peers.alpha: []}", "4:24: search.space.peers.alpha: must not be empty"),
        ("{peers.alpha: [0.5, 2]}", "4:30: search.space.peers.alpha[1]: must be at most 1, not 2"),
        ("{peers.alpha: {low: 0, high: 2}}", "4:39: search.space.peers.alpha.high: must be at most 1, not 2"),
        ("{peers.alpha: {low: 1, high: 0}}", "4:24: search.space.peers.alpha: low (1) must be below high (0)"),
        (
            "{peers.alpha: {low: 0, high: 1, log: true}}",
            "4:24: search.space.peers.alpha: a log range must start above 0",
        ),
        ("{peers.alpha: 3}", "4:24: search.space.peers.alpha: must be a list of levels, {choices: [...]} or {low"),
        ("{encoder.dim: {low: 8.5, high: 64}}", "4:30: search.space.encoder.dim.low: must be a whole number, not 8.5"),
        ("{peers.terms: {low: 0, high: 1}}", "4:11: search.space.peers.terms: a range needs a number; list the levels"),
        (
            "{encoder.heads: [2, 3]}",
            "4:30: search.space.encoder.heads[1]: in arm `reference`: encoder: dim (64) must be a multiple of",
        ),
        (
            "{peers.gamma: {choices: [1, 2], when: {peers.coupling: mde}}}",
            '4:65: search.space.peers.gamma.when.peers.coupling: "mde" is not one of',
        ),
        (
            "{peers.gamma: {choices: [1], when: {peers.gama: 1}}}",
            "4:46: search.space.peers.gamma.when.peers.gama: unknown factor; did you mean `peers.gamma`?",
        ),
        ("{data.lag: [3]}", None),
    ],
)
def test_a_wrong_search_space(errors, study, space: str, error: str | None) -> None:
    text = f"search:\n  trials: 2\n  space: {space}"
    if error is None:
        assert study(text).reference.space
        return
    (line,) = errors(text)
    assert matches(line, f"s.yaml:{error}")


@pytest.mark.parametrize(
    ("setting", "error"),
    [
        ("objectives: [ndgc@10]", "4:16: search.objectives[0]: ndgc@10 is not measured by a search trial on planted"),
        ("objectives: [ndcg@10, hr@7]", "4:25: search.objectives[1]: hr@7 is not measured by a search trial"),
        ("objectives: [mse]", "4:16: search.objectives[0]: mse is not measured by a search trial on planted data"),
        ("constraints: ['paramters <= 9']", "4:17: search.constraints[0]: paramters is not measured by a search trial"),
        ("constraints: ['cold_found >= 0.1']", "4:17: search.constraints[0]: cold_found is not measured by a search"),
    ],
)
def test_a_measurement_that_no_search_trial_gives(errors, setting: str, error: str) -> None:
    (line,) = errors(f"search:\n  space: {{peers.alpha: [0.1, 0.5]}}\n  {setting}\nvary: {{peers.count: [2, 4]}}")
    assert line.startswith(f"s.yaml:{error}")
    if likely := {"ndgc@10": "ndcg@10", "paramters": "parameters"}.get(line.partition("]: ")[2].split()[0]):
        assert line.endswith(f"; did you mean `{likely}`?")


def test_what_a_search_may_look_at(study) -> None:
    text = "search:\n  space: {peers.alpha: [0.1, 0.5]}\n"
    costs = ("epochs", "parameters", "seconds", "seconds_per_epoch", "seconds_per_step", "updates")
    limits = ", ".join(f"{name} <= 9" for name in (*costs, "hr@5"))
    assert study(f"{text}  objectives: [{', '.join(costs)}, ndcg@5]\n  constraints: [{limits}]").reference.space


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            "metrics: {smallest_effect: {accuracy: 0.1}}",
            "2:29: metrics.smallest_effect.accuracy: accuracy is no metric",
        ),
        (
            "metrics: {smallest_effect: {cold_found: 0.1}}",
            "2:29: metrics.smallest_effect.cold_found: cold_found is measured by the diagnostic cold-items: add it",
        ),
        ("metrics: {primary: hr@7, report: [hr@7]}", "hr@7 is measured at the test alone; validation data give hr@1,"),
        ("metrics: {primary: mse, report: [mse]}", "mse is no metric of planted data that could choose an epoch"),
    ],
)
def test_a_metric_that_the_study_does_not_measure(errors, text: str, error: str) -> None:
    assert any(error in line for line in errors(text))


def test_effects_of_metrics_that_are_measured_and_not_reported(study) -> None:
    assert study("metrics: {smallest_effect: {hr@7: 0.1, seconds: 3}}").file.metrics.smallest_effect


def test_a_grid_of_too_many_points(errors, study) -> None:
    text = """
    vary: {peers.count: [2, 4]}
    search:
      sampler: grid
      space:
        peers.alpha: {low: 0, high: 1, step: 0.01}
        encoder.dropout: {low: 0, high: 0.5, step: 0.01}
        training.learning_rate: {low: 0.0001, high: 0.01, step: 0.0001}
    """
    (line,) = errors(text)
    assert line == (
        "s.yaml:4:12: search.sampler: a grid of 515,100 points in arm `reference`, 10,000 at most: "
        "list fewer levels, widen `step`, or take another sampler"
    )
    assert study(text.replace("grid", "random")).reference.space
    assert study(text.replace("step: 0.0001", "step: 0.01").replace("0.01}", "0.011}")).reference.space


def test_conditions_in_a_circle(errors) -> None:
    text = """
    search:
      space:
        training.decay: {choices: [none, linear], when: {training.warmup: 0}}
        training.warmup: {choices: [0, 10], when: {training.decay: linear}}
    """
    assert [line.partition(": conditions")[0] for line in errors(text)] == [
        "s.yaml:4:47: search.space.training.decay.when",
        "s.yaml:5:41: search.space.training.warmup.when",
    ]


def test_a_space_that_no_arm_searches_is_empty(errors) -> None:
    text = """
    base: {peers: {count: 1}}
    search: {space: {peers.gamma: [1, 2]}}
    """
    assert errors(text) == ["s.yaml:3:10: search.space: empty: no arm leaves any of its dimensions open"]


def test_all_mistakes_are_reported_once_in_the_order_of_the_file(errors) -> None:
    lines = errors(
        """
        seeds: [1, 1]
        base: {encoder: {nmae: x}, peers: {count: 0}}
        remove:
          a: {peers.couplng: x}
          b: {peers.terms: bth}
        arms:
          - {set: {encoder.heads: 3}}
        cross:
          peers.count: [0, 2]
          peers.alpha: [0.1, 0.2, 0.3]
        search:
          space:
            peers.alpha: {low: 0.1, hihg: 1}
            encoder.dim: {low: 8.5, high: 64}
        claims: [foo]
        """
    )
    assert [line.split(": ")[1] for line in lines] == [
        "seeds",
        "base.encoder.nmae",
        "base.peers.count",
        "remove.a.peers.couplng",
        "remove.b.peers.terms",
        "cross.peers.count[0]",
        "search.space.peers.alpha.high",
        "search.space.peers.alpha.hihg",
        "search.space.encoder.dim.low",
        "claims[0]",
    ]


def test_a_study_needs_a_name(errors) -> None:
    assert errors("# nothing\nseeds: 3") == ["s.yaml:1:1: name: missing"]


def test_a_name_fits_a_folder(errors) -> None:
    assert errors("name: a/b") == [
        "s.yaml:1:7: name: must be of letters, digits, `.`, `_` and `-`, the first a letter or digit"
    ]


def test_a_missing_study_file_suggests_one_beside_it(tmp_path: Path) -> None:
    (tmp_path / "ablation.yaml").write_text("name: a")
    with pytest.raises(StudyError, match=r"ablatoin.yaml: no such file; did you mean `.*ablation.yaml`\?"):
        load(tmp_path / "ablatoin.yaml")


def test_a_folder_and_bytes_are_no_study_file(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="is a directory"):
        load(tmp_path)
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StudyError, match="not a UTF-8 text file"):
        load(tmp_path / "b.yaml")


def test_a_report_needs_no_data_file(study) -> None:
    text = "data: {source: file, path: gone.csv}"
    assert study(text, check_data=False).reference.configuration.data.path == Path("gone.csv")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            "metrics: {report: [ndcg@10, cold_found]}",
            "2:29: metrics.report[1]: cold_found is measured by the diagnostic cold-items: add it to",
        ),
        (
            "metrics: {primary: cold_found, report: [cold_found], diagnostics: [cold-items]}",
            "cold_found is measured at the test alone: it can be reported, not choose epochs",
        ),
        (
            "metrics: {diagnostics: [cold]}",
            '2:25: metrics.diagnostics[0]: "cold" is not one of attribution, cold-items',
        ),
        (
            "data: {source: mosaic}\nbase: {readout: {paradigm: soft}, peers: {count: 1}}\n"
            "metrics: {primary: accuracy, report: [accuracy], diagnostics: [attribution]}",
            "evaluation.diagnostics: metrics.diagnostics look at rankings of next items; mosaic data have none",
        ),
        (
            "base: {readout: {paradigm: soft}, peers: {count: 1}, evaluation: {steering: 0.1}}",
            "states are moved that predict next items",
        ),
    ],
)
def test_a_diagnostic_that_cannot_be(errors, text: str, error: str) -> None:
    found = errors(text)
    assert any(error in line for line in found), found


def test_the_study_says_what_is_examined(study) -> None:
    assert study("metrics: {diagnostics: [cold-items, attribution]}").arms[0].configuration.evaluation.diagnostics == [
        "attribution",
        "cold-items",
    ]
    assert not study("seeds: 2").arms[0].configuration.evaluation.diagnostics
