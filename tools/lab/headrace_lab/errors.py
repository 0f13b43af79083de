"""What can go wrong in the lab.

LabError
├─ ToolMissing      a program is missing or too old; the message names the apt package
├─ BuildFailed      a part could not be built or fetched; the message names its log
├─ PartFailed       a part ended or was not ready in time; the message holds the end of its log
├─ NotRunning       there is no lab in the folder that was named
└─ ApiError         the API server refused a request of the lab itself
"""

from __future__ import annotations


class LabError(Exception):
    """Anything that the user of the lab should read as one message, without a traceback."""


class ToolMissing(LabError):
    """A program that the lab needs is missing or too old."""


class BuildFailed(LabError):
    """A part could not be built or fetched."""


class PartFailed(LabError):
    """A part ended, or was not ready in time."""


class NotRunning(LabError):
    """There is no lab in the folder."""


class ApiError(LabError):
    """The API server refused a request of the lab itself."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"the API server answered {status}: {message}")
        self.status = status
