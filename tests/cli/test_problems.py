"""Known failures become one sentence and an exit code; unknown ones stay what they are."""

from __future__ import annotations

import pytest

from shapegate_cli.problems import Failed, Unreachable, explained

KNOWN: dict[type[Exception], type[Failed]] = {ConnectionError: Unreachable, OSError: Failed}


@pytest.mark.parametrize(("raised", "code"), [(ConnectionError("gone"), 3), (OSError("full"), 1)])
def test_the_first_class_that_fits_gives_the_exit_code(raised: Exception, code: int) -> None:
    with pytest.raises(Failed) as caught, explained(KNOWN):
        raise raised
    assert caught.value.exit_code == code
    assert caught.value.message == str(raised)


def test_what_nobody_foresaw_stays_what_it_is() -> None:
    with pytest.raises(ZeroDivisionError), explained(KNOWN):
        raise ZeroDivisionError
