"""The analysis-runner as a process: its settings and its one component."""

from __future__ import annotations

from typing import Final

from analysis_runner.runner import AnalysisRunner
from analysis_runner.settings import RunnerSettings
from headrace.runtime.process import Program

NAME: Final = "analysis-runner"


def build(settings: RunnerSettings) -> Program:
    """Return the program that runs the analysis-runner alone."""
    return Program(NAME, {NAME: lambda ports: AnalysisRunner(ports, settings)})
