"""Reading typed fields out of untyped input, every problem at once."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import msgspec

Model = TypeVar("Model", bound=msgspec.Struct)
DecHook = Callable[[type, Any], Any]


class FieldProblem(msgspec.Struct, frozen=True):
    """A field that is missing or wrong.

    Attributes
    ----------
    field : str
        Its name.
    detail : str
        What is wrong with it.
    """

    field: str
    detail: str


class FieldsError(ValueError):
    """Input has fields that are missing or wrong.

    Attributes
    ----------
    problems : list of FieldProblem
        One entry per bad field, in the model's order.
    """

    def __init__(self, problems: list[FieldProblem]) -> None:
        super().__init__("; ".join(f"{problem.field}: {problem.detail}" for problem in problems))
        self.problems = problems


def read_fields(model: type[Model], values: Mapping[str, Any], *, dec_hook: DecHook | None = None) -> Model:
    """Make `model` from `values`, naming every field that is missing or wrong.

    Text is read as a number where the model asks for one (environment variables and query strings
    hold text only). Names that the model does not know are ignored.

    Parameters
    ----------
    model : type of msgspec.Struct
        The typed fields, with their limits.
    values : mapping
        Input by the model's encoded names.
    dec_hook : callable, optional
        Reads the types that msgspec does not know: takes type and value, raises ValueError with what is allowed.

    Raises
    ------
    FieldsError
        When at least one field is missing or wrong; msgspec itself stops at the first.

    Examples
    --------
    >>> class Customer(msgspec.Struct):
    ...     total_orders: int
    >>> read_fields(Customer, {"total_orders": "15", "customer_id": 123})
    Customer(total_orders=15)
    """
    try:
        return msgspec.convert(values, model, strict=False, dec_hook=dec_hook)
    except msgspec.ValidationError:
        raise FieldsError(list(_problems(model, values, dec_hook))) from None


def _problems(model: type[Model], values: Mapping[str, Any], dec_hook: DecHook | None) -> Iterator[FieldProblem]:
    for field in msgspec.structs.fields(model):
        name = field.encode_name
        if name in values:
            try:
                msgspec.convert(values[name], field.type, strict=False, dec_hook=dec_hook)
            except msgspec.ValidationError as error:
                yield FieldProblem(name, str(error))
        elif field.required:
            yield FieldProblem(name, "is missing")
