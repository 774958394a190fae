"""The scenario: login, sync, offline, switch, re-sync, and the cheats, on a running stack.

One piece of code for `shapegate demo` and for the integration test.
"""

from __future__ import annotations

from shapegate_harness.scenario.checks import Differs
from shapegate_harness.scenario.recorder import Recorder
from shapegate_harness.scenario.run import StepDone, StepFailed, StepResult, run_scenario

__all__ = ["Differs", "Recorder", "StepDone", "StepFailed", "StepResult", "run_scenario"]
