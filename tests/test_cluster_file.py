"""`cluster.yaml` is what `ray up` accepts."""

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent


def test_the_cluster_file_passes_rays_own_check():
    util = pytest.importorskip("ray.autoscaler._private.util")
    config = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    util.validate_config(util.prepare_config(config))


def test_the_check_would_notice_a_mistake():
    util = pytest.importorskip("ray.autoscaler._private.util")
    config = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    config["max_wokers"] = 1
    with pytest.raises(Exception, match="max_wokers"):
        util.validate_config(util.prepare_config(config))
