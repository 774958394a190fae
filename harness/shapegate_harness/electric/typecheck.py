"""Which filters Electric accepts: every name known, every operator one that it has (PROTOCOL 5; recorded).

Pure: no I/O, no clock. The tables of subqueries are looked up before.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, assert_never

from shapegate_harness.electric.errors import rejected
from shapegate_harness.electric.lexer import wrong_at
from shapegate_harness.electric.overloads import BINARY, FUNCTIONS, UNARY, pick_function, pick_operator
from shapegate_harness.electric.pgtypes import (
    BOOL,
    CASTABLE,
    INT4,
    INT8,
    NUMBERS,
    NUMERIC,
    TEXT,
    TEXTS,
    Type,
    castable,
    implicitly_castable,
    union_type,
)
from shapegate_harness.electric.printer import print_name
from shapegate_harness.electric.spelling import can_read
from shapegate_harness.electric.tree import (
    AnyAll,
    ArrayOf,
    Between,
    Binary,
    Call,
    Cast,
    Column,
    Constant,
    Distinct,
    InList,
    IsTest,
    Literal,
    Logic,
    Membership,
    Node,
    Not,
    Param,
    Row,
    Subscript,
    Unary,
)
from shapegate_wire import names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from shapegate_harness.electric.overloads import Overload
    from shapegate_wire.identifier import TableName

_NO_OPERATOR: Final = "Could not select an operator overload"
_CONSTANTS: Final = {Literal.INTEGER: INT4, Literal.DECIMAL: NUMERIC, Literal.BOOLEAN: BOOL}
_LOGIC: Final = {"null": None, "true": BOOL, "false": BOOL, "unknown": BOOL}


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a filter may speak of."""

    columns: Mapping[str, Type]
    params: tuple[str, ...]
    tables: Mapping[TableName, Mapping[str, Type]] = field(default_factory=dict)
    """The columns of the subqueries' tables."""
    enums: bool = False
    """Whether constants of enum types are left to Postgres, as in subsets."""


def check_filter(tree: Node, terms: Terms) -> Mapping[int, Type]:
    """Find the type of each parameter, by the place of its use. Raises Rejected in Electric's words."""
    checker = _Checker(terms)
    found = checker.type_of(tree)
    if found is None and isinstance(tree, Constant | Param):
        found = TEXT
    if found != BOOL:
        raise rejected(names.WHERE, "WHERE clause must return a boolean")
    return checker.places


class _Checker:
    """One expression; subqueries have a checker of their own, since they infer parameters anew."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._resolved: dict[int, Type] = {}
        self._known: dict[int, Type | None] = {}
        self.places: dict[int, Type] = {}

    def type_of(self, node: Node) -> Type | None:
        """Find the type of a node; None for a literal or parameter that has none by itself."""
        if isinstance(node, Param):
            return self._param(node)
        # Operands of IN and BETWEEN are asked for more than once, and may be deep.
        if id(node) not in self._known:
            self._known[id(node)] = self._find(node)
        return self._known[id(node)]

    def _find(self, node: Node) -> Type | None:
        match node:
            case Column():
                return self._column(node)
            case Constant(literal=literal):
                return _CONSTANTS.get(literal)
            case Param():
                return self._param(node)
            case Unary(operator=operator, operand=operand):
                return self._operator(node.start, operator, (operand,))
            case Binary(operator=operator, left=left, right=right):
                return self._operator(node.start, operator, (left, right))
            case Distinct(left=left, right=right):
                self._operator(node.start, "<>", (left, right))
                return BOOL
            case Logic(operands=operands):
                return self._logic(operands)
            case Not(operand=operand):
                return self._logic((operand,))
            case IsTest():
                return self._is(node)
            case InList(operand=operand, items=items):
                for item in items:
                    self._operator(node.start, "=", (operand, item))
                return BOOL
            case Between():
                return self._between(node)
            case AnyAll():
                return self._any_all(node)
            case Cast():
                return self._cast(node)
            case Call():
                return self._call(node)
            case ArrayOf(items=items):
                return self._united(node.start, "ARRAY", items).of_array
            case Subscript():
                return self._subscript(node)
            case Row():
                raise wrong_at(node.start, _NO_OPERATOR)
            case Membership():
                return self._membership(node)
            case _:
                assert_never(node)

    # --- leaves

    def _column(self, node: Column) -> Type:
        found = self._terms.columns.get(node.path[0]) if len(node.path) == 1 else None
        if found is None:
            raise wrong_at(node.start, f"unknown reference {'.'.join(map(print_name, node.path))}")
        return found

    def _param(self, node: Param) -> Type | None:
        if node.number > len(self._terms.params):
            raise wrong_at(node.start, f"parameter ${node.number} was not provided")
        resolved = self._resolved.get(node.number)
        if resolved is not None:
            self.places[node.start] = resolved
        return resolved

    def _settle(self, node: Node, type_: Type) -> None:
        """Give a literal or parameter without a type the one that is wanted of it."""
        if isinstance(node, Constant) and node.literal is Literal.TEXT:
            self._read(node.start, node.text, type_)
        elif isinstance(node, Param):
            known = self._resolved.setdefault(node.number, type_)
            if known != type_:
                raise wrong_at(node.start, f"type conflict for ${node.number}: {type_} and {known}")
            self._read(node.start, self._terms.params[node.number - 1], type_)
            self.places[node.start] = type_

    def _read(self, start: int, text: str, type_: Type) -> None:
        left_to_postgres = type_.enum and self._terms.enums
        if not left_to_postgres and not can_read(type_, text):
            raise wrong_at(start, f"invalid syntax for type {type_}: {text}")

    def _settle_all(
        self, nodes: Sequence[Node], types: Iterable[Type | None], wanted: Sequence[Type]
    ) -> None:
        for node, type_, want in zip(nodes, types, wanted, strict=True):
            if type_ is None:
                self._settle(node, want)

    # --- operators

    def _operator(self, start: int, operator: str, operands: tuple[Node, ...]) -> Type:
        types = tuple(self.type_of(operand) for operand in operands)
        chosen = self._choose(start, operator, types)
        self._settle_all(operands, types, chosen.arguments)
        return chosen.result

    def _choose(self, start: int, operator: str, types: tuple[Type | None, ...]) -> Overload:
        choices = (BINARY if len(types) == 2 else UNARY).get(operator)
        if choices is None:
            arity = "binary" if len(types) == 2 else "unary"
            raise wrong_at(start, f'unknown {arity} operator "{operator}"')
        chosen = pick_operator(choices, types)
        if chosen is None:
            raise wrong_at(start, _NO_OPERATOR)
        return chosen

    def _logic(self, operands: tuple[Node, ...]) -> Type:
        for operand in operands:
            type_ = self.type_of(operand)
            if type_ is None:
                self._settle(operand, BOOL)
            elif type_ != BOOL:
                raise wrong_at(operand.start, f"{_described(operand, type_)} is not castable to bool")
        return BOOL

    def _is(self, node: IsTest) -> Type:
        type_ = self.type_of(node.operand)
        wanted = _LOGIC[node.word]
        if type_ is None:
            self._settle(node.operand, wanted or TEXT)
        elif wanted is not None and type_ != wanted:
            test = f"IS {'NOT ' if node.negated else ''}{node.word.upper()}"
            raise wrong_at(node.start, f"argument of {test} must be bool, not {type_}")
        return BOOL

    def _between(self, node: Between) -> Type:
        bounds = [(node.low, node.high)] + ([(node.high, node.low)] if node.symmetric else [])
        for low, high in bounds:
            self._operator(node.start, "<=", (low, node.operand))
            self._operator(node.start, "<=", (node.operand, high))
        return BOOL

    def _any_all(self, node: AnyAll) -> Type:
        left, array = self.type_of(node.left), self.type_of(node.array)
        if array is not None and not array.array:
            raise wrong_at(node.array.start, "argument of ANY must be an array")
        chosen = self._choose(node.start, node.operator, (left, None if array is None else array.element))
        if chosen.result != BOOL:
            raise wrong_at(node.start, "ANY/ALL requires operator that returns bool")
        wanted = chosen.arguments
        if wanted[1].array:
            raise wrong_at(node.start, _NO_OPERATOR)
        self._settle_all((node.left, node.array), (left, array), (wanted[0], wanted[1].of_array))
        return BOOL

    # --- functions and constructs

    def _cast(self, node: Cast) -> Type:
        if node.to.name not in CASTABLE:
            raise wrong_at(node.to.start, f"unsupported type {print_name(node.to.name)}")
        target = Type(node.to.name, array=node.to.array)
        source = self.type_of(node.operand)
        operand = node.operand
        if source is None:
            if isinstance(operand, Param):
                self._settle(operand, TEXT)
            if isinstance(operand, Constant) and operand.literal is Literal.NULL:
                return target
            source = TEXT
        if not castable(source, target):
            raise wrong_at(operand.start, f"unknown cast from type {source} to type {target}")
        text = self._text_of(operand)
        if source == TEXT and text is not None and not can_read(target, text):
            raise wrong_at(operand.start, f'could not cast value "{text}" from text to {target}')
        return target

    def _text_of(self, node: Node) -> str | None:
        if isinstance(node, Constant) and node.literal is Literal.TEXT:
            return node.text
        return self._terms.params[node.number - 1] if isinstance(node, Param) else None

    def _call(self, node: Call) -> Type:
        if node.name in ("coalesce", "greatest", "least"):
            found = self._united(node.start, node.name.upper(), node.arguments)
            if node.name != "coalesce":
                self._choose(node.start, "<", (found, found))
            return found
        types = tuple(self.type_of(argument) for argument in node.arguments)
        if node.name == "concat" and types:
            return self._concat(node, types)
        choices = FUNCTIONS.get((node.name, len(types)))
        if choices is None:
            name = ".".join(map(print_name, node.name.split(".")))
            raise wrong_at(node.start, f"unknown or unsupported function {name}/{len(types)}")
        chosen = pick_function(choices, types)
        if chosen is None:
            raise wrong_at(node.start, _no_function(node, types))
        self._settle_all(node.arguments, types, chosen.arguments)
        return chosen.result

    def _concat(self, node: Call, types: tuple[Type | None, ...]) -> Type:
        if any(type_ is not None and (type_.array or type_.name not in TEXTS) for type_ in types):
            raise wrong_at(node.start, _no_function(node, types))
        self._settle_all(node.arguments, types, (TEXT,) * len(types))
        return TEXT

    def _united(self, start: int, construct: str, items: tuple[Node, ...]) -> Type:
        types = [self.type_of(item) for item in items]
        found = union_type(types)
        if isinstance(found, tuple):
            raise wrong_at(start, f"{construct} types {found[0]} and {found[1]} cannot be matched")
        for item, type_ in zip(items, types, strict=True):
            if type_ is None:
                self._settle(item, found)
            elif not implicitly_castable(type_, found):
                raise wrong_at(item.start, f"{type_} cannot be matched to {found}")
        return found

    def _subscript(self, node: Subscript) -> Type:
        array = self.type_of(node.operand)
        if array is None or not array.array:
            raise wrong_at(node.start, "A_Indirection is not supported in this context")
        for part in (part for each in node.bounds for part in (each.lower, each.upper) if part is not None):
            type_ = self.type_of(part)
            if type_ is None:
                self._settle(part, INT8)
            elif type_.array or type_.name not in NUMBERS:
                raise wrong_at(part.start, f"{type_} cannot be matched to int8")
        return array if any(each.is_slice for each in node.bounds) else array.element

    def _membership(self, node: Membership) -> Type:
        left = self._left(node)
        columns = self._terms.tables[node.select.table]
        inner = [columns.get(name) for name in node.select.columns]
        if None in inner:
            missing = node.select.columns[inner.index(None)]
            raise rejected(names.COLUMNS, f"The following columns are not found on the table: {missing}")
        if node.select.where is not None:
            terms = Terms(columns=columns, params=self._terms.params, tables=self._terms.tables)
            self.places.update(check_filter(node.select.where, terms))
        if left != inner:
            refusal = "left side of `IN (SELECT ...)` has type {} but subquery returns {}[]"
            raise wrong_at(node.start, refusal.format(_row(left), _row(inner)))
        return BOOL

    def _left(self, node: Membership) -> list[Type | None]:
        items = node.left.items if isinstance(node.left, Row) else (node.left,)
        if not all(isinstance(item, Column) for item in items):
            raise wrong_at(
                node.start,
                "currently, left side of `IN (SELECT ...)` can only be a column reference or a list of "
                "column references",
            )
        return [self.type_of(item) for item in items]


def _row(types: Sequence[Type | None]) -> str:
    return str(types[0]) if len(types) == 1 else f"row of ({', '.join(map(str, types))})"


def _no_function(node: Call, types: tuple[Type | None, ...]) -> str:
    printed = ", ".join("unknown" if type_ is None else str(type_) for type_ in types)
    return f"Could not select a function overload for {node.name}({printed})"


def _described(node: Node, type_: Type) -> str:
    if isinstance(node, Column):
        return f"reference {print_name(node.path[-1])} of type {type_}"
    named = {Call: "name", Binary: "operator", Unary: "operator"}.get(type(node))
    return f"function {getattr(node, named)} returning {type_}" if named else f"constant of type {type_}"
