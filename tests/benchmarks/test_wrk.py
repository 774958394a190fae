from __future__ import annotations

import pytest

from benchmarks.running import WrongAnswer
from benchmarks.wrk import Report, parse_report

HEAD = """Running 2s test @ http://127.0.0.1:4000/v1/shape
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     8.91ms    3.12ms  31.01ms   80.00%
    Req/Sec     7.21k   812.00     8.40k    70.00%
"""
TAIL = "Requests/sec:   7180.11\nTransfer/sec:      4.90MB\n"


@pytest.mark.parametrize(
    ("said", "report"),
    [
        ("  14360 requests in 2.00s, 9.81MB read\n", Report(requests=14_360, seconds=2.0, failures=0)),
        ("  99 requests in 980.00ms, 9.81KB read\n", Report(requests=99, seconds=0.98, failures=0)),
        ("  6000 requests in 1.50m, 9.81GB read\n", Report(requests=6_000, seconds=90.0, failures=0)),
        (
            "  10 requests in 1.00s, 1.00KB read\n  Non-2xx or 3xx responses: 4\n",
            Report(requests=10, seconds=1.0, failures=4),
        ),
        (
            "  10 requests in 1.00s, 1.00KB read\n  Socket errors: connect 1, read 20, write 300, timeout 0\n"
            "  Non-2xx or 3xx responses: 4000\n",
            Report(requests=10, seconds=1.0, failures=4_321),
        ),
    ],
)
def test_a_report_tells_requests_seconds_and_failures(said: str, report: Report) -> None:
    assert parse_report(HEAD + said + TAIL) == report


def test_a_rate_is_of_the_time_that_wrk_took() -> None:
    assert Report(requests=300, seconds=1.5, failures=0).rate == pytest.approx(200.0)


@pytest.mark.parametrize(
    "said", ["", "unable to connect to 127.0.0.1:4000", HEAD + "  0 requests in 1.00s, 0.00B read\n" + TAIL]
)
def test_a_run_without_an_answer_measures_nothing(said: str) -> None:
    with pytest.raises(WrongAnswer, match="no answer"):
        parse_report(said)
