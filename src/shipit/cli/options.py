# SPDX-License-Identifier: MPL-2.0
"""What subcommands share on the command line: the shape of their output, and how they are told to stop."""

from __future__ import annotations

import asyncio
import signal

import click

shape_option = click.option(
    "--format", "shape", type=click.Choice(["text", "json"]), default="text", show_default=True
)


def stop_on_signals() -> asyncio.Event:
    """Set by SIGINT or SIGTERM: end what is under way, and begin nothing more."""
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    return stop
