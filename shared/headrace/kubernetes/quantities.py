"""Resource quantities (`100m`, `1.5Gi`, `1e3`) and their canonical text.

The canonical text enters the pod template hash, so the oddities of the original
are kept: a text that it takes for canonical is given back as it was written, and
a decimal exponent that has no suffix is lost.

Source: k8s.io/apimachinery v0.34.5, resource.Quantity (ParseQuantity,
CanonicalizeBytes, RoundUp).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

NANOS: Final = 10**9
"""Amounts are whole numbers of 10⁻⁹, the finest scale that Kubernetes keeps."""

_NANOS_PER_MILLI: Final = 10**6
_AMOUNT_MAX: Final = 2**63 - 1
_DIGITS_MAX: Final = 18
_BINARY_DIGITS_MAX: Final = 15
_NANO_SCALE: Final = -9
_BINARY_MIN: Final = 1024
_QUANTITY: Final = re.compile(
    r"(?P<sign>[+-]?)0*(?P<whole>\d*)(?:\.(?P<fraction>\d*))?"
    r"(?P<suffix>[KMGTPE]i|[numkMGTPE]?|[eE][+-]?\d+)",
    re.ASCII,
)
_DECIMAL_SUFFIXES: Final = {
    "n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18
}  # fmt: skip
_BINARY_SUFFIXES: Final = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL_NAMES: Final = {exponent: name for name, exponent in _DECIMAL_SUFFIXES.items()}
_BINARY_NAMES: Final = {exponent: name for name, exponent in _BINARY_SUFFIXES.items()}


class Format(Enum):
    """The family of suffixes that a quantity was written with."""

    DECIMAL_SI = "DecimalSI"
    DECIMAL_EXPONENT = "DecimalExponent"
    BINARY_SI = "BinarySI"


@dataclass(frozen=True, slots=True)
class Quantity:
    """An amount of a resource.

    Attributes:
        nanos: The amount times 10⁹.
        format: How to print it.
        text: The text as written where it counts as canonical, else empty.
        small: Number and power of ten, where the original keeps a 64-bit number; None where it
            computes with any size.
    """

    nanos: int
    format: Format
    text: str = ""
    small: tuple[int, int] | None = None

    @property
    def is_capped(self) -> bool:
        """Whether it is the largest amount that has a binary suffix."""
        return self.format is Format.BINARY_SI and abs(self.nanos) == _AMOUNT_MAX * NANOS

    def canonical(self) -> str:
        """Return the text that Kubernetes writes for this quantity."""
        if self.text:
            return self.text
        if self.nanos == 0:
            return "0"
        if self.format is Format.BINARY_SI:
            whole, rest = divmod(abs(self.nanos), NANOS)
            if whole >= _BINARY_MIN and rest == 0:
                return self._binary(whole)
        return self._decimal()

    def round_up_to_milli(self) -> Quantity:
        """Return the amount rounded away from zero to 10⁻³, as the API server stores it."""
        if self.nanos % _NANOS_PER_MILLI == 0:
            return self
        whole = -(-abs(self.nanos) // _NANOS_PER_MILLI) * _NANOS_PER_MILLI
        return Quantity(whole if self.nanos > 0 else -whole, self.format)

    def _binary(self, whole: int) -> str:
        exponent = 0
        while whole % _BINARY_MIN == 0:
            whole //= _BINARY_MIN
            exponent += 10
        sign = "-" if self.nanos < 0 else ""
        return f"{sign}{whole}{_BINARY_NAMES.get(exponent, '')}"

    def _decimal(self) -> str:
        number, exponent = self.nanos, _NANO_SCALE
        while number % 1000 == 0:
            number //= 1000
            exponent += 3
        if self.format is Format.DECIMAL_EXPONENT:
            return f"{number}e{exponent}" if exponent else str(number)
        return f"{number}{_DECIMAL_NAMES.get(exponent, '')}"


def parse_quantity(text: str) -> Quantity:
    """Return the quantity written as `text`.

    Raises:
        ValueError: `text` is no quantity.
    """
    text = text.strip()
    if text == "0":
        return Quantity(0, Format.DECIMAL_SI, text, (0, 0))
    match = _QUANTITY.fullmatch(text)
    if match is None or not text:
        raise ValueError(
            "quantities must match the regular expression "
            "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
        )
    suffix, whole, fraction = match["suffix"], match["whole"] or "0", match["fraction"] or ""
    format_, exponent = _interpret(suffix)
    is_binary = format_ is Format.BINARY_SI
    scale = -len(fraction) if is_binary else exponent - len(fraction)
    unscaled = int(whole + fraction) * (2**exponent if is_binary else 1)
    sign = -1 if match["sign"] == "-" else 1
    is_small = _is_small(whole, fraction, format_, exponent) and scale >= _NANO_SCALE
    if not is_small or unscaled > _AMOUNT_MAX:
        if not any(map(str.isdigit, text.removesuffix(suffix))):
            raise ValueError("unable to parse numeric part of quantity")
        return _large(sign, unscaled, scale, format_)
    nanos = sign * unscaled * 10 ** (scale - _NANO_SCALE)
    kept = text if _is_canonical(whole + fraction, format_, scale) else ""
    return Quantity(nanos, format_, kept, (sign * unscaled, scale))


def _interpret(suffix: str) -> tuple[Format, int]:
    if suffix in _DECIMAL_SUFFIXES:
        return Format.DECIMAL_SI, _DECIMAL_SUFFIXES[suffix]
    if suffix in _BINARY_SUFFIXES:
        return Format.BINARY_SI, _BINARY_SUFFIXES[suffix]
    return Format.DECIMAL_EXPONENT, int(suffix[1:])


def _is_small(whole: str, fraction: str, format_: Format, exponent: int) -> bool:
    """Return whether the original computes with 64-bit numbers here."""
    if format_ is Format.BINARY_SI:
        return not fraction and _BINARY_DIGITS_MAX - len(whole) - exponent * 3 // 10 - 1 >= 0
    return len(whole) + len(fraction) <= _DIGITS_MAX


def _is_canonical(digits: str, format_: Format, scale: int) -> bool:
    """Return whether the original keeps the text; it only guesses that it is canonical."""
    if format_ is Format.BINARY_SI:
        return int(digits) % 8 != 0
    return scale % 3 == 0 and not digits.endswith("000") and digits[0] != "0"


def _large(sign: int, unscaled: int, scale: int, format_: Format) -> Quantity:
    """Return a quantity by exact arithmetic, rounded up to 10⁻⁹ and capped."""
    shift = scale - _NANO_SCALE
    nanos = unscaled * 10**shift if shift >= 0 else -(-unscaled // 10**-shift)
    if format_ is Format.BINARY_SI:
        nanos = min(nanos, _AMOUNT_MAX * NANOS)
        if 0 < nanos < NANOS:
            format_ = Format.DECIMAL_SI
    return Quantity(sign * nanos, format_)
