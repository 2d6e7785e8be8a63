"""What a finished trial leaves behind, as files."""

import json

import yaml
from safetensors.torch import save

from hail_study.training.trial import Trial


def trial_files(trial: Trial) -> dict[str, bytes]:
    """`configuration.yaml`, `best.safetensors` (the best epoch's weights) and `log.txt`, by name."""
    configuration = trial.configuration.model_dump(mode="json")
    return {
        "configuration.yaml": yaml.safe_dump(configuration, sort_keys=False).encode(),
        "best.safetensors": save(trial.best_weights(), {"configuration": json.dumps(configuration)}),
        "log.txt": training_log(trial).encode(),
    }


def training_log(trial: Trial) -> str:
    """How it was computed; then one line an epoch, the best one marked."""
    lines = [f"# {note}\n" for note in trial.task.notes()]
    for entry in trial.history:
        mark = "*" if entry["epoch"] == trial.best_epoch else " "
        values = "  ".join(f"{name} {value:.5f}" for name, value in entry.items() if name not in ("epoch", "seconds"))
        lines.append(f"{mark} epoch {entry['epoch']:4.0f}  {entry['seconds']:7.2f} s  {values}\n")
    return "".join(lines)
