"""The base of every configuration class, and its errors as sentences."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, ValidationError
from pydantic_core import ErrorDetails

from conf.errors import Fault, hint
from conf.toml import KeyPath, Layers


class Frozen(BaseModel):
    """Read once, never changed; an unknown key is an error, and nothing is coerced ("7" is no number)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


Model = TypeVar("Model", bound=Frozen)


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{name!r} is no time zone{hint(name, available_timezones())}") from None
    return name


def _region(code: str) -> str:
    from phonenumbers import SUPPORTED_REGIONS

    if code not in SUPPORTED_REGIONS:
        raise ValueError(
            f"{code!r} should be a country whose phone numbers are known, in two capital letters (ISO 3166)"
        )
    return code


Zone = Annotated[str, AfterValidator(_zone)]
Region = Annotated[str, AfterValidator(_region)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


def spelt(pattern: str, what: str) -> AfterValidator:
    """Refuses text that does not match `pattern` whole, and says that it should be `what`."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"{text!r} should be {what}")
        return text

    return AfterValidator(check)


def parse(model: type[Model], data: object, layers: Layers, faults: list[Fault], path: KeyPath = ()) -> Model | None:
    """`data`, which stands at `path` of `layers`, as a `model`; or None, with what is wrong added to `faults`."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        for details in error.errors(include_url=False):
            faults.append(layers.fault((*path, *details["loc"]), _sentence(model, details)))
        return None


def keys(model: type[BaseModel]) -> list[str]:
    """The keys a file may give to `model`; fields excluded from dumps are not a file's to give."""
    return [field.alias or name for name, field in model.model_fields.items() if not field.exclude]


def _sentence(model: type[BaseModel], details: ErrorDetails) -> str:
    match details["type"]:
        case "extra_forbidden":
            *tables, key = details["loc"]
            return "unknown key" + hint(str(key), keys(_nested(model, tables)))
        case "missing":
            return "is missing"
        case "model_type" | "dict_type":
            return "should be a table"
        case "value_error":
            return details["msg"].removeprefix("Value error, ")
        case _:
            given = details["input"]
            said = re.sub(r"^(Input|String|Tuple) ", "", details["msg"]).replace("a valid tuple", "an array")
            return said if isinstance(given, Mapping | tuple) else f"{said}, not {given!r}"


def _nested(model: type[BaseModel], tables: list[Any]) -> type[BaseModel]:
    for table in tables:
        nested = model.model_fields[table].annotation
        assert isinstance(nested, type) and issubclass(nested, BaseModel)
        model = nested
    return model
