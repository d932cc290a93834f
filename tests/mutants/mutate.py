"""Prints the mutants of a module, of its Python and its SQL: `python mutate.py MODULE`, where cosmic-ray is."""

import io
import json
import re
import sys
import tokenize
from collections.abc import Iterator
from itertools import accumulate, count
from pathlib import Path

from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

# Of the many ways to replace an operator, the next one and the opposite; never `|`, which stands in every second type.
_REPLACED = re.compile(
    "Replace((Binary|Comparison)Operator_"
    "(Add_Sub|Sub_Add|Mul_Add|Div_Mul|FloorDiv_Div|Mod_Mul|Pow_Mul|LShift_RShift|RShift_LShift|BitAnd_BitOr"
    "|Lt_LtE|Lt_GtE|LtE_Lt|LtE_Gt|Gt_GtE|Gt_LtE|GtE_Gt|GtE_Lt|Eq_NotEq|NotEq_Eq|Is_IsNot|IsNot_Is|In_NotIn|NotIn_In)$"
    "|True|False|And|Or|Break|Continue|UnaryOperator)"
)

_SQL = re.compile(r"\b(SELECT|INSERT|UPDATE|DELETE|WHERE|FROM|VALUES|JOIN)\b")
_CHANGES_OF_SQL = {
    r"\bAND\b": "OR",
    r"\bOR\b": "AND",
    r" = ": " <> ",
    r" <> ": " = ",
    r" < ": " <= ",
    r" >=? ": " < ",
    r" >= ": " > ",
    r" > ": " >= ",
    r"\bIS NULL": "IS NOT NULL",
    r"\bIS NOT NULL": "IS NULL",
    r"\+ 1\b": "+ 0",
    r" DESC\b": "",
    r"ORDER BY [\w.]+( DESC)?(, [\w.]+)*": "",
    r"\bEXCEPT ALL\b": "EXCEPT",
    r"\bUNION ALL\b": "UNION",
    r"\b(FULL|LEFT) JOIN\b": "JOIN",
    r"\bmax\(": "min(",
    r"\bsum\(": "max(",
    r" WHERE [^()]*(\([^()]*(\([^()]*\))?[^()]*\)[^()]*)*$": "",
    r"\bLIMIT :?\w+": "",
    r"\bexcluded\.(\w+)": r"NULL",
    r"\bDELETE FROM ([\w.]+)": r"DELETE FROM \1 WHERE false",
}


def mutants(source: str) -> Iterator[str]:
    """Make every mutant of a source, each with one change."""
    yield from _mutants_of_python(source)
    yield from _mutants_of_sql(source)


def _mutants_of_sql(source: str) -> Iterator[str]:
    lines = [0, *accumulate(map(len, source.splitlines(keepends=True)))]
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.STRING or not _SQL.search(token.string):
            continue
        line, column = token.start
        start = lines[line - 1] + column
        for pattern, change in _CHANGES_OF_SQL.items():
            for found in re.finditer(pattern, token.string, re.MULTILINE):
                yield source[: start + found.start()] + found.expand(change) + source[start + found.end() :]


def _mutants_of_python(source: str) -> Iterator[str]:
    for name in sorted(operator_names()):
        kind = name.partition("/")[2]
        if kind.startswith("Variable") or (kind.startswith("Replace") and not _REPLACED.match(kind)):
            continue
        operator = get_operator(name)()
        for occurrence in count():
            try:
                mutated = mutate_code(source, operator, occurrence)
            except AttributeError:
                continue  # an exception with a dotted name, which cosmic-ray cannot replace
            if mutated is None:
                break
            # What is frozen, strict or by name only guards against callers, not data; the last of one is its first.
            alike = re.sub("(frozen|kw_only|strict)=False", r"\1=True", mutated).replace("[ -1]", "[0]")
            if _compiles(mutated) and alike != source:
                yield mutated


def _compiles(source: str) -> bool:
    try:
        compile(source, "mutant", "exec")
    except SyntaxError:
        return False
    return True


if __name__ == "__main__":
    json.dump(list(dict.fromkeys(mutants(Path(sys.argv[1]).read_text()))), sys.stdout)
