"""Flags and variables of a settings model: how they are read, explained and listed.

A field `a_b` that carries a `Flag` is the flag `--a-b` and the variable `HEADRACE_A_B`; flags win.
The values are checked by the model; what is wrong is told by the name under which it was given.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, get_args, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationError
from pydantic.fields import FieldInfo

from headrace import __version__
from headrace.model.quantities import parse_duration

_SERVER: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}")
_CREDENTIALS: Final = re.compile(r"(?<=://)[^/?#\s]*@")


@dataclass(frozen=True, slots=True)
class Flag:
    """How a field appears on the command line.

    Attributes:
        group: Heading in the help and in the documentation.
        aliases: Other flag names, without dashes; a single letter gets one, as it is usual.
    """

    group: str
    aliases: tuple[str, ...] = ()


def _seconds(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        return parse_duration(value)


def _words(value: object) -> object:
    parts = [value] if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        return value
    return tuple(word.strip() for part in parts for word in str(part).split(",") if word.strip())


Duration = Annotated[float, BeforeValidator(_seconds), Field(gt=0, allow_inf_nan=False)]
"""Seconds, > 0 and finite; as text a number or a Go duration (`90`, `1m30s`)."""


def check_servers(servers: Sequence[str]) -> Sequence[str]:
    """Return the addresses of brokers, once each is `host:port`. Raises ValueError."""
    for server in servers:
        if not _SERVER.fullmatch(server):
            raise ValueError(f"bootstrap server {server.rpartition('@')[2]!r} is not host:port")
    return servers


def masked(text: str) -> str:
    """Return a text in which no URL shows its credentials: `https://user:password@host`."""
    return _CREDENTIALS.sub("**********@", text)


Servers = Annotated[tuple[str, ...], BeforeValidator(_words), AfterValidator(check_servers)]
"""Addresses of brokers: a repeatable flag, or words with commas between."""

Namespace = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
"""Name of a namespace."""

Port = Annotated[int, Field(ge=0, le=65535)]


@dataclass(frozen=True, slots=True)
class FlagRow:
    """One line of the documentation's table.

    Attributes:
        flag: With dashes.
        aliases: With dashes.
        variable: Environment variable.
        default: As text; empty when there is none.
        description: One sentence.
        group: Heading.
    """

    flag: str
    aliases: tuple[str, ...]
    variable: str
    default: str
    description: str
    group: str


def flag_rows(model: type[BaseModel]) -> list[FlagRow]:
    """Return every flag of a settings model, in order of definition."""
    return [
        FlagRow(
            flag=flag_name(name),
            aliases=tuple(map(_dashed, flag.aliases)),
            variable=_variable_name(name),
            default=_default_text(field),
            description=field.description or "",
            group=flag.group,
        )
        for name, field, flag in _flags(model)
    ]


@dataclass(frozen=True, slots=True)
class Given:
    """What the user gave.

    Attributes:
        values: Field name -> text (a list of texts for lists), flags over variables.
        by_flag: Names of the fields that came by flag.
        without_effect: Flags that were accepted and mean nothing here, with dashes.
        wants_check: True with `--check-config`.
    """

    values: dict[str, Any]
    by_flag: frozenset[str]
    without_effect: tuple[str, ...]
    wants_check: bool


def read(
    argv: Sequence[str],
    environ: Mapping[str, str],
    parser: argparse.ArgumentParser,
    model: type[BaseModel],
) -> Given:
    """Return what flags and environment give; an empty variable counts as not set.

    Raises:
        SystemExit: After `--help` and `--version`, and on flags that do not exist.
    """
    given = vars(parser.parse_args(list(argv)))
    without_effect = tuple(sorted(name for name in given if name.startswith("--")))
    wants_check = given.pop("check_config", False)
    by_flag = {name: value for name, value in given.items() if not name.startswith("--")}
    from_environment = {
        name: environ[_variable_name(name)]
        for name, _, _ in _flags(model)
        if environ.get(_variable_name(name))
    }
    return Given({**from_environment, **by_flag}, frozenset(by_flag), without_effect, wants_check)


def _flags(model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo, Flag]]:
    for name, field in model.model_fields.items():
        flag = next((item for item in field.metadata if isinstance(item, Flag)), None)
        if flag is not None:
            yield name, field, flag


def flag_name(field_name: str) -> str:
    """Return the flag of a field: `--a-b` for `a_b`."""
    return "--" + field_name.replace("_", "-")


def _dashed(alias: str) -> str:
    return f"-{alias}" if len(alias) == 1 else f"--{alias}"


def _variable_name(field_name: str) -> str:
    return f"HEADRACE_{field_name.upper()}"


def _default_text(field: FieldInfo) -> str:
    match field.default:
        case None | "" | ():
            return ""
        case bool() as value:
            return str(value).lower()
        case float() as value:
            return f"{value:g}" if value < 1e6 else f"{value:.0f}"
        case tuple() as value:
            return ",".join(value)
        case value:
            return str(value)


def _is_list(field: FieldInfo) -> bool:
    return get_origin(field.annotation) is tuple


def _choices(field: FieldInfo) -> str | None:
    if get_origin(field.annotation) is Literal:
        return "|".join(get_args(field.annotation))
    return None


def make_parser(
    model: type[BaseModel], program: str, without_effect: Sequence[str]
) -> argparse.ArgumentParser:
    """Return the command line of a model.

    Args:
        model: Its fields with a `Flag` become flags.
        program: Name in the help and in messages.
        without_effect: Flags that are accepted and hidden, where the model has none of that name.
    """
    parser = argparse.ArgumentParser(
        prog=program,
        usage="%(prog)s [flags]",
        description="Each flag --a-b is also the variable HEADRACE_A_B; flags win.",
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("--version", action="version", version=f"{program} {__version__}")
    parser.add_argument(
        "--check-config",
        action="store_true",
        help="Check the settings, print them without secrets, and end.",
    )
    groups: dict[str, argparse._ArgumentGroup] = {}
    taken: set[str] = set()
    for name, field, flag in _flags(model):
        if flag.group not in groups:
            groups[flag.group] = parser.add_argument_group(flag.group)
        default = _default_text(field)
        text = (field.description or "") + (f" (default: {default})" if default else "")
        options: dict[str, Any] = {"help": text.replace("%", "%%")}
        if field.annotation is bool:
            options |= {"nargs": "?", "const": "true", "metavar": "true|false"}
        else:
            options["metavar"] = (
                _choices(field) or name.removesuffix("_max").rsplit("_", 1)[-1].upper()
            )
        if _is_list(field):
            options["action"] = "append"
        names = [flag_name(name), *map(_dashed, flag.aliases)]
        groups[flag.group].add_argument(*names, dest=name, **options)
        taken |= set(names)
    for ignored in without_effect:
        if f"--{ignored}" not in taken:
            parser.add_argument(
                f"--{ignored}", dest=f"--{ignored}", nargs="?", help=argparse.SUPPRESS
            )
    return parser


def explain(error: ValidationError, by_flag: frozenset[str]) -> Iterator[str]:
    """Yield a line per wrong setting, under the flag or variable that gave it."""
    for problem in error.errors(include_url=False, include_context=False):
        text = problem["msg"].removeprefix("Value error, ")
        if not problem["loc"]:
            yield text
            continue
        name = str(problem["loc"][0])
        source = flag_name(name) if name in by_flag else _variable_name(name)
        is_named = problem["type"] == "value_error"  # our own words say what was given
        given = f", not {json.dumps(problem['input'], default=str)}"
        yield f"{source}: {text}{'' if is_named or 'password' in name else masked(given)}"
