# SPDX-License-Identifier: MPL-2.0
"""`shipit hawk METHOD URL`: sign one request with the credentials in the environment, for use with curl."""

from __future__ import annotations

from pathlib import Path

import click

from shipit.cli.reading import read_settings
from shipit.clients.hawk import signature
from shipit.errors import InvalidInput


@click.command()
@click.argument("method")
@click.argument("url")
@click.option("--data", default="", help="The body, exactly as it will be sent; @FILE: what is in FILE.")
@click.option("--type", "content_type", default="application/json", show_default=True, help="Its media type.")
def hawk(method: str, url: str, data: str, content_type: str) -> None:
    """Print the Authorization header of one request, signed as TASKCLUSTER_CLIENT_ID.

    curl -H "Authorization: $(shipit hawk GET URL)" URL

    With a body its media type is signed too: send the same Content-Type, and a file with --data-binary.
    """
    credentials = read_settings().taskcluster.credentials
    if not credentials:
        raise InvalidInput("TASKCLUSTER_CLIENT_ID", expected="to be set, with TASKCLUSTER_ACCESS_TOKEN")
    content = _file(data[1:]) if data.startswith("@") else data.encode()
    click.echo(signature(credentials, method.upper(), url, content, content_type if content else ""))


def _file(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InvalidInput(
            "--data", expected=f"a file that can be read ({error.strerror})", got=path
        ) from error
