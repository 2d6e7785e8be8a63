"""What tests of several rooms share: a tiny data set and configuration, one local Ray, a browser."""

import os
import shutil
import tempfile
from collections.abc import Iterator

import pytest
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
settings.register_profile("no clock", deadline=None)  # a machine that others use stops for seconds
settings.load_profile("no clock")

TINY = {
    "data": {"source": "planted", "users": 120, "items": 60, "length": 12, "max_length": 12, "k_core": 0},
    "encoder": {"dim": 16, "blocks": 1, "heads": 2, "dropout": 0.1},
    "peers": {"count": 2},
    "training": {"epochs": 3, "patience": 0, "batch": 32, "learning_rate": 0.01},
}


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
]


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the marks in a hook of the same name
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Two processes share the tests: all that use Ray in one, as it is one local Ray; no file is torn apart."""
    on_ray = {item.path for item in items if item.get_closest_marker("ray") or "local_ray" in item.fixturenames}
    for item in items:
        item.add_marker(pytest.mark.xdist_group("ray" if item.path in on_ray else str(item.path)))


@pytest.fixture(autouse=True)
def no_tracking_of_another_test():
    """MLflow's `set_tracking_uri` sets an environment variable, which a study without a place of its own obeys."""
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    yield
    os.environ.pop("MLFLOW_TRACKING_URI", None)


@pytest.fixture(scope="session")
def tiny():
    """A configuration that trains in a fraction of a second."""
    from hail_study.study import Configuration, canonical

    return canonical(Configuration.model_validate(TINY))


@pytest.fixture(scope="session")
def tiny_data(tiny):
    """The prepared data of `tiny`."""
    from hail_study.data import prepare

    return prepare(tiny.data)


@pytest.fixture(scope="session")
def local_ray():
    """One local Ray for the session, with two CPUs, little memory and a folder of its own."""
    from hail_study.execution.cluster import prepare_environment

    prepare_environment()
    import ray

    folder = tempfile.mkdtemp(prefix="ray")
    ray.init(
        address="local",
        num_cpus=2,
        num_gpus=0,
        object_store_memory=200_000_000,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        _temp_dir=folder,
    )
    yield
    ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def s3() -> Iterator[dict[str, str]]:
    """A server of this process that speaks S3, with a bucket named `studies`; what a client's environment needs."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    address, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{address}:{port}",
        "AWS_ACCESS_KEY_ID": "key-of-the-test",
        "AWS_SECRET_ACCESS_KEY": "secret-of-the-test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, setting in environment.items():
            patch.setenv(name, setting)
        pytest.importorskip("boto3").client("s3").create_bucket(Bucket="studies")
    yield environment
    server.stop()


@pytest.fixture
def bucket(s3, monkeypatch) -> str:
    """The URI of a bucket that this process reaches."""
    for name, setting in s3.items():
        monkeypatch.setenv(name, setting)
    return "s3://studies"


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator:
    """Headless Chromium that keeps what pages log."""
    if not (CHROMIUM and DRIVER):
        pytest.skip("no Chromium with chromedriver on this machine")
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in [*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()
