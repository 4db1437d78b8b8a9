"""Names that commands need once they run, imported on first use, so that help does not wait for them.

Effects: none but imports. Use it as `lazy.open_project(…)`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.executors.simulate import faults_by_place, parse_fault, parse_value, values_by_node
    from engine.runtime.live_runs import log
    from engine.storage.attempt_logs import LogReader
    from engine.storage.copies import runs_of
    from engine.storage.database import faults
    from engine.views.metrics import metrics
    from engine.views.report_html import html_report
    from engine.views.report_text import text_report
    from engine.views.timeline import timeline
    from mcp_server.answers.report_json import report_answer
    from mcp_server.project.forecast import in_words
    from mcp_server.project.nodes import attempts_of, find_node, parse_attempt
    from mcp_server.project.outputs import keys_of, notable_outputs, outputs_of
    from mcp_server.project.project import RunRequest, open_catalog, open_project
    from mcp_server.project.reading import open_runs
    from mcp_server.project.runs import nothing_to_cancel, questions_of, run_filter
    from mcp_server.project.settings import load_settings
    from mcp_server.project.trusted import open_trust
    from registry.commands import NAME, CommandSource
    from registry.files.paths import inside, shown
    from registry.peers.kinds import PEERS

_HOMES = {
    "CommandSource": "registry.commands",
    "LogReader": "engine.storage.attempt_logs",
    "NAME": "registry.commands",
    "PEERS": "registry.peers.kinds",
    "attempts_of": "mcp_server.project.nodes",
    "RunRequest": "mcp_server.project.project",
    "faults": "engine.storage.database",
    "faults_by_place": "engine.executors.simulate",
    "find_node": "mcp_server.project.nodes",
    "keys_of": "mcp_server.project.outputs",
    "notable_outputs": "mcp_server.project.outputs",
    "nothing_to_cancel": "mcp_server.project.runs",
    "outputs_of": "mcp_server.project.outputs",
    "html_report": "engine.views.report_html",
    "in_words": "mcp_server.project.forecast",
    "inside": "registry.files.paths",
    "load_settings": "mcp_server.project.settings",
    "log": "engine.runtime.live_runs",
    "metrics": "engine.views.metrics",
    "open_catalog": "mcp_server.project.project",
    "open_project": "mcp_server.project.project",
    "open_runs": "mcp_server.project.reading",
    "open_trust": "mcp_server.project.trusted",
    "parse_attempt": "mcp_server.project.nodes",
    "parse_fault": "engine.executors.simulate",
    "parse_value": "engine.executors.simulate",
    "questions_of": "mcp_server.project.runs",
    "report_answer": "mcp_server.answers.report_json",
    "run_filter": "mcp_server.project.runs",
    "runs_of": "engine.storage.copies",
    "shown": "registry.files.paths",
    "text_report": "engine.views.report_text",
    "timeline": "engine.views.timeline",
    "values_by_node": "engine.executors.simulate",
}
__all__ = [
    "NAME",
    "PEERS",
    "CommandSource",
    "LogReader",
    "RunRequest",
    "attempts_of",
    "faults",
    "faults_by_place",
    "find_node",
    "html_report",
    "in_words",
    "inside",
    "keys_of",
    "load_settings",
    "log",
    "metrics",
    "notable_outputs",
    "nothing_to_cancel",
    "open_catalog",
    "open_project",
    "open_runs",
    "open_trust",
    "outputs_of",
    "parse_attempt",
    "parse_fault",
    "parse_value",
    "questions_of",
    "report_answer",
    "run_filter",
    "runs_of",
    "shown",
    "text_report",
    "timeline",
    "values_by_node",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    from importlib import import_module  # noqa: PLC0415 - called once per name

    found = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return found
