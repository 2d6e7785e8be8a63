"""Where trials run and what they may cost: `compute` and `budget`."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from hail_study.study.sections import Positive, Section, Uri


def _pack_form(given: Any) -> str | None:
    return "text" if given == "auto" else "number" if type(given) is int else None


def _check_gpus(value: float) -> float:
    """Ray gives fractions of one GPU only."""
    if value > 1 and not value.is_integer():
        raise PydanticCustomError("gpus", "must be a whole number above 1")
    return value


class Compute(Section):
    """Where trials run. Nothing here changes a result or a key."""

    address: Annotated[str, Field(description="`local`, `auto` or a Ray address; RAY_ADDRESS and --address win.")] = (
        "local"
    )
    cpus: Annotated[Positive, Field(description="CPUs of one trial.")] = 1
    gpus: Annotated[
        float, Field(ge=0, description="GPUs of one trial; fractions share a GPU."), AfterValidator(_check_gpus)
    ] = 0
    concurrent: Annotated[int | None, Field(ge=1, description="Trials at a time; default: as many as fit.")] = None
    memory: Annotated[float | None, Field(gt=0, description="GB of memory that one trial reserves.")] = None
    resources: Annotated[
        dict[str, Positive], Field(description="Custom resources of one trial, as the nodes declare them to Ray.")
    ] = {}
    threads: Annotated[int | None, Field(ge=1, description="Of one trial; default: its CPUs.")] = None
    pack: Annotated[
        Annotated[int, Field(ge=1), Tag("number")] | Annotated[Literal["auto"], Tag("text")],
        Discriminator(
            _pack_form, custom_error_type="pack", custom_error_message="must be a number of trials or `auto`"
        ),
        Field(
            description="Trials that one process trains together, on what one trial takes alone; `auto`: as many as a "
            "short probe finds fastest. Pays where a step has too little work for its device: small models on a GPU."
        ),
    ] = 1
    compile: Annotated[
        Literal["none", "default", "reduce-overhead"],
        Field(
            description="Mode of torch.compile for the encoders in training; `reduce-overhead` replays them as CUDA "
            "graphs on a GPU. Needs a C++ compiler on the nodes, and Triton where trials have a GPU."
        ),
    ] = "none"
    node_price: Annotated[float | None, Field(gt=0, description="Of one node for an hour, in any currency.")] = None
    retries: Annotated[
        int, Field(ge=0, description="Restarts of a trial whose process was lost; lost nodes are not counted.")
    ] = 2
    wait_seconds: Annotated[
        float, Field(ge=0, description="How long to wait for a first node on which a trial fits, where nodes may join.")
    ] = 600
    checkpoint_seconds: Annotated[float, Field(ge=0, description="Least time between a trial's checkpoints.")] = 5
    storage: Annotated[
        Uri | None,
        Field(
            description="Folder or URI (s3://...) of checkpoints, reachable from every node. Default: HAIL_STORAGE in "
            "the environment, else .hail."
        ),
    ] = None


class Budget(Section):
    """Ends the study when it is spent: no trial is started any more, those under way are finished."""

    trials: Annotated[int | None, Field(ge=1, description="Trials of the study, recorded ones counted.")] = None
    hours: Annotated[float | None, Field(gt=0, description="Time in which something was trained.")] = None
    gpu_hours: Annotated[float | None, Field(gt=0, description="GPUs of a trial times its time.")] = None
    cost: Annotated[float | None, Field(gt=0, description="Hours times nodes times `compute.node_price`.")] = None
