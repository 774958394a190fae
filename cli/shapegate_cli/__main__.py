"""The `shapegate` command: the only place that puts all parts together.

Exit codes: 0 ok, 1 failed, 2 usage, 3 unreachable, 4 not logged in or refused, 5 must resync,
130 interrupted.
"""

from __future__ import annotations

import sys

import click

from shapegate_cli.client import client
from shapegate_cli.demo import demo
from shapegate_cli.doctor.command import doctor
from shapegate_cli.issuer import issuer
from shapegate_cli.logins import logins
from shapegate_cli.policy import policy
from shapegate_cli.schema import schema
from shapegate_cli.servers import config, proxy
from shapegate_cli.sessions import sessions
from shapegate_cli.token import token
from shapegate_cli.up import up


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="shapegate")
def shapegate() -> None:
    """A gate in front of ElectricSQL, and everything to develop against it."""


for command in (demo, up, doctor, token, proxy, issuer, sessions, config, policy, schema, client):
    shapegate.add_command(command)
schema.add_command(logins)


def main() -> None:
    """Run the command line; every known failure is one sentence on standard error."""
    try:
        code: object = shapegate.main(standalone_mode=False)
    except click.ClickException as exc:
        exc.show()
        sys.exit(exc.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
