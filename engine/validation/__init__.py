"""Every rule about command files, and all problems of one at once (SPEC 2).

Pure. Reading files and JSON is the registry's; making a plan of a sound command is `engine/graph`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.validation import (
    advice,
    compensation,
    dataflow,
    dependencies,
    expressions,
    ids,
    in_place,
    locks,
    references,
    requirements,
    shapes,
    subcommands,
    times,
)
from engine.validation.codes import CODES, Code
from engine.validation.problem import Problem, Report, Severity, Validation, grouped
from engine.validation.shape import Shape, read_shape
from engine.validation.subject import Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from engine.model.command import CommandDefinition

__all__ = ["CODES", "Code", "Problem", "Report", "Severity", "Validation", "grouped", "validate_definition"]

ERRORS: tuple[Callable[[Subject, Report], None], ...] = (
    in_place.one_kind,
    shapes.one_shape,
    shapes.lists,
    shapes.collections,
    shapes.loops,
    shapes.names,
    shapes.placeholders,
    requirements.needs,
    ids.duplicate_node_ids,
    ids.duplicate_phase_ids,
    dependencies.unknown_dependencies,
    dependencies.circular_dependencies,
    dependencies.forward_dependencies,
    references.unknown_agents,
    references.unknown_breakers,
    dataflow.required_inputs,
    dataflow.output_conflicts,
    shapes.joins,
    times.timeouts,
    expressions.skip_expressions,
    expressions.input_transforms,
    expressions.output_schemas,
    compensation.rollback_targets,
    compensation.tasks,
    locks.duplicate_locks,
    locks.placeholders,
)
ADVICE: tuple[Callable[[Subject, Report], None], ...] = (
    advice.deprecated,
    shapes.uncertain_lists,
    shapes.uncertain_loops,
    dataflow.providers_not_ancestors,
    dataflow.providers_that_may_be_skipped,
    advice.redundant_dependencies,
    advice.over_serialized,
    locks.lock_orders,
    compensation.missing_compensations,
    advice.skewed_phases,
    times.long_estimates,
    advice.broad_passthrough,
    advice.unused_outputs,
    advice.missing_ttl,
    advice.long_tasks,
    advice.weak_ids,
)


def validate_definition(
    raw: object,
    *,
    agents: Collection[str],
    commands: Mapping[str, CommandDefinition | Mapping[str, Any]] | None = None,
    breakers: Collection[str] = (),
    unusable: Mapping[str, str] | None = None,
) -> Validation:
    """All problems of the definition *raw*, JSON as Python values; never raises for its content.

    *agents* are the ids that exist, *commands* the possible sub-commands by name, *breakers* the configured names.
    *unusable* maps agents whose file cannot be used to what is wrong with it.
    """
    report = Report()
    shape = read_shape(raw, report)
    if shape.definition is not None:
        known = {} if commands is None else commands
        broken = unusable or {}
        subject = Subject(shape.definition, shape, agents, known, breakers, unusable=broken)
        table = subcommands.SubCommands(known, _checker(agents, known, breakers, broken))
        _look_for_errors(subject, report, table)
        _advise(subject, report, table)
    return Validation(report.finish(), shape.definition if shape.sound else None)


def _look_for_errors(subject: Subject, report: Report, table: subcommands.SubCommands) -> None:
    """Every rule about errors, for a command and then for the phases in place in it."""
    for rule in ERRORS:
        rule(subject, report)
    subcommands.sub_commands(subject, report, table)
    for spot in in_place.places(subject, report):
        _look_for_errors(subject.within(spot), report, table)


def _advise(subject: Subject, report: Report, table: subcommands.SubCommands) -> None:
    """Every rule about warnings, for a command and then for the phases in place in it."""
    for rule in ADVICE:
        rule(subject, report)
    subcommands.deprecated_calls(subject, report, table)
    subcommands.providers_inside_that_may_be_skipped(subject, report, table)
    for spot in in_place.places(subject):
        _advise(subject.within(spot), report, table)


def _checker(
    agents: Collection[str],
    commands: Mapping[str, CommandDefinition | Mapping[str, Any]],
    breakers: Collection[str],
    unusable: Mapping[str, str],
) -> subcommands.Check:
    """How sub-commands are judged: by the rules that report errors, recursively; warnings are their own file's."""

    def check(command: CommandDefinition, given: frozenset[str]) -> list[Problem]:
        report = Report()
        shape = Shape(command, sound=True, name=command.name)
        subject = Subject(command, shape, agents, commands, breakers, given, unusable)
        _look_for_errors(subject, report, table)
        return report.found[Severity.ERROR]

    table = subcommands.SubCommands(commands, check)
    return check
