"""Tasks: what a trial learns, and how that is judged. Everything else of a study is the same for all of them.

A task is one subclass of `Task` in a file of its own, one line in the catalogue, and the names of its metrics in
`hail_study.study.measures`. Its data come from a source like any other (`hail_study.data.prepare`).
"""

from hail_study.tasks.task import Diverged, Outcomes, Part, Task

__all__ = ["Diverged", "Outcomes", "Part", "Task"]
