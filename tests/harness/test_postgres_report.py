from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapegate_harness.postgres.report import (
    DISOWNED_PID,
    Complaint,
    PidFile,
    complaint,
    disown,
    fault,
    last_lines,
    parse_pid_file,
)

READY = "4711\n/data\n1760000000\n5432\n\n127.0.0.1\n  1234567         7\nready   \n"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (READY, PidFile(pid=4711, ready=True)),
        (READY.replace("ready   ", "starting"), PidFile(pid=4711, ready=False)),
        (READY.replace("ready   ", "stopping"), PidFile(pid=4711, ready=False)),
        ("\n".join(READY.splitlines()[:7]), PidFile(pid=4711, ready=False)),
        ("4711", PidFile(pid=4711, ready=False)),
        ("", None),
        ("\n", None),
        ("not a pid\n", None),
        ("-4711\n", None),
        ("0\n", None),
    ],
)
def test_a_pid_file_is_read_whole_cut_short_or_broken(text: str, read: PidFile | None) -> None:
    assert parse_pid_file(text) == read


def test_a_disowned_file_keeps_the_shared_memory_key() -> None:
    assert disown(READY) == READY.replace("4711", str(DISOWNED_PID))


@given(st.text())
@settings(max_examples=100, deadline=None)
def test_any_text_is_read_or_not_a_pid_file(text: str) -> None:
    parsed = parse_pid_file(text)
    assert parsed is None or parsed.pid > 0


@given(st.integers(min_value=1, max_value=2**22), st.text())
@settings(max_examples=100, deadline=None)
def test_disowning_twice_is_disowning_once(pid: int, rest: str) -> None:
    once = disown(f"{pid}\n{rest}")
    assert disown(once) == once
    assert once.split("\n", 1)[1] == rest


@pytest.mark.parametrize(
    ("log", "found"),
    [
        ('FATAL:  could not write lock file "postmaster.pid": No space left on device', Complaint.DISK_FULL),
        ('initdb: error: could not write file "x": Disk quota exceeded', Complaint.DISK_FULL),
        ('LOG:  could not bind IPv4 address "127.0.0.1": Address already in use', Complaint.PORT_TAKEN),
        ('LOG:  could not bind IPv4 address "127.0.0.1": Permission denied', Complaint.PORT_FORBIDDEN),
        ("FATAL:  pre-existing shared memory block (key 1, ID 2) is still in use", Complaint.MEMORY_SHARED),
        ("FATAL:  could not execute /x/postgres: [Errno 8] Exec format error", Complaint.NOT_RUNNABLE),
        (
            "FATAL:  could not execute /x/postgres: [Errno 11] Resource temporarily unavailable",
            Complaint.OTHER,
        ),
        ("postgres: error while loading shared libraries: libpq.so.5", Complaint.NOT_RUNNABLE),
        ("initdb: error: could not look up effective user ID 7: user does not exist", Complaint.NAMELESS),
        ("PANIC:  could not locate a valid checkpoint record", Complaint.OTHER),
        ("", Complaint.OTHER),
    ],
)
def test_the_words_of_postgres_tell_why_it_gave_up(log: str, found: Complaint) -> None:
    assert complaint(log) is found


def test_the_first_line_that_tells_of_an_error_is_found() -> None:
    assert fault("ok\n x [7] FATAL:  no room\nERROR:  later") == "x [7] FATAL:  no room"
    assert fault("running bootstrap script ... ok") == "nothing"


def test_a_message_ends_with_the_last_lines_on_one_line() -> None:
    assert last_lines("\n".join("abcdefg") + "\n\n") == "c | d | e | f | g"
    assert last_lines(" \n") == "nothing"


@given(st.text())
@settings(max_examples=100, deadline=None)
def test_the_last_lines_are_one_line_of_bounded_length(log: str) -> None:
    assert len(last_lines(log).splitlines()) == 1
    assert len(last_lines(log * 100)) < 2000
