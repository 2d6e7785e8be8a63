"""A plan as plain text."""

from hail_study.study.plan import ArmPlan, Plan, changes_of
from hail_study.study.power import Power

_HEAD = ("arm", "changes", "searched", "search", "confirm", "recorded", "at most")


def render(plan: Plan) -> str:
    """The arms as a table, then what the seeds can show."""
    rows = [_HEAD, *(_row(arm) for arm in plan.arms), _total(plan)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = [_line(row, widths) for row in rows]
    rule = "-" * max(map(len, lines))
    table = [lines[0], rule, *lines[1:-1], rule, lines[-1]]
    return "\n".join([f"study {plan.study}: {_counted(plan)}", "", *table, "", *_notes(plan)])


def _row(arm: ArmPlan) -> tuple[str, ...]:
    recorded = sum(arm.recorded.values())
    searched = ", ".join(arm.space) or "-"
    return (
        arm.name,
        changes_of(arm),
        searched,
        str(arm.search),
        str(arm.confirm),
        str(recorded),
        duration(arm.seconds),
    )


def _total(plan: Plan) -> tuple[str, ...]:
    search, confirm = sum(arm.search for arm in plan.arms), sum(arm.confirm for arm in plan.arms)
    return ("total", "", "", str(search), str(confirm), str(plan.recorded), duration(plan.seconds))


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    cells = [
        cell.ljust(width) if column < 3 else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()


def _counted(plan: Plan) -> str:
    left = plan.trials - plan.recorded
    return f"{len(plan.arms)} arms, {plan.trials} trials, {left} of them to run, {plan.concurrent} at a time"


def _notes(plan: Plan) -> list[str]:
    notes = [("also named", f"{arm.name}: {', '.join(arm.names[1:])}") for arm in plan.arms if arm.names[1:]]
    notes += [("waits", f"{arm.name}: on each seed, for {_after(arm)}") for arm in plan.arms if arm.after]
    notes += [("not searched", f"{factor}: every arm sets it, or it matters in none") for factor in plan.unsearched]
    notes += [("changes nothing", f"remove {part}: the reference is without it") for part in plan.idle]
    notes.append(("seeds", f"{', '.join(map(str, plan.seeds))}: the same for every arm"))
    notes += _packs(plan)
    notes += _power(plan.power)
    notes += [("claim", claim) for claim in plan.claims]
    notes += [("protocol", text) for text in plan.protocols]
    notes += [("CAUTION", text) for text in plan.cautions]
    return [f"{name:16}{text}" for name, text in notes]


def _packs(plan: Plan) -> list[tuple[str, str]]:
    if plan.pack == 1:
        return []
    size = "as many trials as a probe finds fastest" if plan.pack == "auto" else f"up to {plan.pack} trials"
    alone = [("trained alone", f"{name}: {reason}") for name, reason in plan.unpacked.items()]
    return [("packs", f"{size} in one process, where their structure is the same"), *alone]


def _after(arm: ArmPlan) -> str:
    return " and ".join(f"`{name}` ({role})" for role, name in arm.after.items())


def _power(power: Power) -> list[tuple[str, str]]:
    if not power.comparisons:
        return []
    enough = "reaches" if power.smallest_p <= power.level else "too few to reach"
    notes = [
        ("smallest p", f"{power.smallest_p:.3g}, by exact sign flips of {power.seeds} pairs: {enough} {power.level:g}"),
        (
            "seeds needed",
            f"{power.seeds_needed} for one comparison, {power.seeds_needed_holm} for the first of "
            f"{power.comparisons} under Holm",
        ),
    ]
    if power.detectable is not None:
        effect = f"{power.detectable:.2f} standard deviations of the paired difference"
        notes.append(("smallest effect", f"{effect}, found with 80 % power by a paired t test"))
    return notes


def duration(seconds: float | None) -> str:
    """`2:05` minutes, or `1:02:05` hours; `?` where unknown."""
    if seconds is None:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
