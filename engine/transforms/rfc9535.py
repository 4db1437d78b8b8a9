"""Parses any JSONPath of RFC 9535 with python-jsonpath and turns its tree into our own closures.

Pure. `queries.py` evaluates, because the library's evaluation cannot be bounded.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NoReturn, cast

from engine.transforms.faults import TransformSyntaxError
from engine.transforms.queries import (
    COMPARISONS,
    MISSING,
    by_index,
    by_name,
    by_slice,
    by_test,
    chain,
    comparison,
    descendants,
    every,
    length,
    segment,
)

if TYPE_CHECKING:
    from jsonpath import JSONPath, JSONPathEnvironment

    from engine.json.values import Budget
    from engine.transforms.queries import Query, Selector, Test, Value

MAX_DEPTH: Final = 16
"""Nesting of brackets and parentheses."""
MAX_OPERATORS: Final = 64
"""`&&`, `||` and `!` in one transform."""

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'')
_environment: list[JSONPathEnvironment] = []


def check_complexity(text: str) -> None:
    """Refuse paths that would drive the library's recursive parser too deep, before it starts."""
    bare = _QUOTED.sub("", text)
    depth = deepest = 0
    for character in bare:
        depth += (character in "[(") - (character in ")]")
        deepest = max(deepest, depth)
    if deepest > MAX_DEPTH or bare.count("&&") + bare.count("||") + bare.count("!") > MAX_OPERATORS:
        message = f"The transform has more than {MAX_DEPTH} levels or {MAX_OPERATORS} operators"
        raise TransformSyntaxError(message)


def read(text: str) -> JSONPath:
    """The library's tree of a path that strictly follows the RFC."""
    import jsonpath  # noqa: PLC0415 - 130 ms that a server must not pay at its start

    if not _environment:
        environment = jsonpath.JSONPathEnvironment(strict=True)
        del environment.function_extensions["match"], environment.function_extensions["search"]
        _environment.append(environment)
    try:
        path = _environment[0].compile(text)
    except (jsonpath.JSONPathError, ArithmeticError, LookupError, RecursionError, TypeError, ValueError) as error:
        reason = str(getattr(error, "message", error)).strip() or type(error).__name__
        hint = "Start the path with $, as in $.findings[0].severity." if not text.startswith("$") else None
        if "'match'" in reason or "'search'" in reason:
            hint = "Patterns are not supported, since they can take exponential time."
        message = f"`{text}` is not a valid JSONPath (RFC 9535): {reason}"
        raise TransformSyntaxError(message, hint=hint) from None
    return cast("JSONPath", path)  # the strict grammar has no compound paths


class Compiler:
    """Turns the library's tree into closures; extensions to RFC 9535 are refused."""

    def __init__(self) -> None:
        import jsonpath.filter  # noqa: PLC0415 - loaded with the library, see read
        import jsonpath.segments  # noqa: PLC0415
        import jsonpath.selectors  # noqa: PLC0415

        self.filters = jsonpath.filter
        self.segments = jsonpath.segments
        self.selectors = jsonpath.selectors

    def query(self, path: JSONPath) -> Query:
        steps: list[Query] = []
        for part in path.segments:
            if isinstance(part, self.segments.JSONPathRecursiveDescentSegment):
                steps.append(descendants)
            steps.append(segment([self.selector(selector) for selector in part.selectors]))
        return chain(steps)

    def selector(self, selector: object) -> Selector:
        kinds = self.selectors
        if isinstance(selector, kinds.NameSelector):
            return by_name(selector.name)
        if isinstance(selector, kinds.IndexSelector):
            return by_index(selector.index)
        if isinstance(selector, kinds.SliceSelector):
            return by_slice(selector.slice)
        if isinstance(selector, kinds.WildcardSelector):
            return every
        if not isinstance(selector, kinds.Filter):
            self.refuse(selector)
        return by_test(self.test(selector.expression.expression))

    def test(self, expression: object) -> Test:
        """A filter expression that is true or false."""
        kinds = self.filters
        if isinstance(expression, kinds.PrefixExpression):
            operand = self.test(expression.right)
            return lambda value, root, budget: not operand(value, root, budget)
        if isinstance(expression, kinds.InfixExpression) and expression.logical:
            left, right = self.test(expression.left), self.test(expression.right)
            if expression.operator == "&&":
                return lambda value, root, budget: left(value, root, budget) and right(value, root, budget)
            return lambda value, root, budget: left(value, root, budget) or right(value, root, budget)
        if isinstance(expression, kinds.InfixExpression):
            if expression.operator not in COMPARISONS:
                self.refuse(expression)
            return comparison(expression.operator, self.value(expression.left), self.value(expression.right))
        nodes = self.nodes(expression)
        return lambda value, root, budget: bool(nodes(value, root, budget))

    def value(self, expression: object) -> Value:
        """A side of a comparison or an argument: a literal, a singular path or a function's result."""
        kinds = self.filters
        if isinstance(expression, kinds.FilterExpressionLiteral):
            literal = expression.value
            return lambda _value, _root, _budget: literal
        if isinstance(expression, kinds.Nil):
            return lambda _value, _root, _budget: None
        if isinstance(expression, kinds.FunctionExtension):
            return self.call(expression.name, expression.args[0])
        nodes = self.nodes(expression)

        def one(value: object, root: object, budget: Budget) -> object:
            found = nodes(value, root, budget)
            return found[0] if found else MISSING

        return one

    def call(self, name: str, argument: object) -> Value:
        """A call of `length`, `count` or `value`, the only functions in the environment."""
        if name == "length":
            operand = self.value(argument)
            return lambda value, root, budget: length(operand(value, root, budget))
        nodes = self.nodes(argument)
        if name == "count":
            return lambda value, root, budget: len(nodes(value, root, budget))

        def only(value: object, root: object, budget: Budget) -> object:
            found = nodes(value, root, budget)
            return found[0] if len(found) == 1 else MISSING

        return only

    def nodes(self, expression: object) -> Query:
        """A query inside a filter, from the current value or from the root."""
        kinds = self.filters
        if isinstance(expression, kinds.RelativeFilterQuery):
            return self.query(expression.path)
        if not isinstance(expression, kinds.RootFilterQuery):
            self.refuse(expression)
        query = self.query(expression.path)
        return lambda _value, root, budget: query(root, root, budget)

    def refuse(self, part: object) -> NoReturn:
        """Refuse a part that only the library knows, not the RFC."""
        message = f"`{part}` is not part of JSONPath (RFC 9535)"
        raise TransformSyntaxError(message)
