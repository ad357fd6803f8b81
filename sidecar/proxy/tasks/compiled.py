"""Tasks, compiled from the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from sidecar.llm.tasks.formats import BUILT_IN, of_schema
from sidecar.llm.tasks.prompts import PATHS
from sidecar.llm.tasks.task import Choice, Task
from sidecar.policy.template import Template

if TYPE_CHECKING:
    from sidecar.config.model import Config, TaskModel
    from sidecar.config.model import Task as TaskConfig


def compile_tasks(config: Config) -> dict[str, Task]:
    """Return the tasks of a configuration that was checked, by name."""
    upstreams = {
        route.name or f"{index}-{route.upstream}": route.upstream
        for index, route in enumerate(config.routes)
    }
    return {name: _task(name, task, config, upstreams) for name, task in config.tasks.items()}


def _task(name: str, task: TaskConfig, config: Config, upstreams: dict[str, str]) -> Task:
    formats = dict(BUILT_IN)
    if task.schema is not None:
        formats["schema"] = of_schema(task.schema)
    for format_, instruction in task.instructions.items():
        formats[format_] = formats[format_]._replace(instruction=instruction)
    return Task(
        name,
        task.description,
        tuple(_choice(each, task, config, upstreams) for each in task.models),
        None if task.system is None else Template(task.system),
        Template(task.user),
        task.inputs,
        {"short": task.lengths.short, "medium": task.lengths.medium, "long": task.lengths.long},
        task.length,
        formats,
        task.format,
        task.temperature,
        task.chat_field,
        task.repair,
    )


def _choice(
    model: TaskModel, task: TaskConfig, config: Config, upstreams: dict[str, str]
) -> Choice:
    route = model.route or task.route
    upstream = config.upstreams[upstreams[route]]
    path = Template(model.path or PATHS[upstream.dialect])
    return Choice(
        route,
        upstream.dialect,
        model.model,
        path.fill({"model": quote(model.model, safe="")}),
        model.labels,
        None if model.up_to is None else int(model.up_to),
        upstream.include_usage,
    )
