# SPDX-License-Identifier: MPL-2.0
"""The API's types for the pages: `python frontend/openapi.py [--check]` writes or compares schema.d.ts.

Made from the contracts of the routes, by openapi-typescript; a page that uses what an answer no longer has
does not pass the type check.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import build
import msgspec
from litestar import Litestar

from shipit.web import schema
from shipit.web.app import HANDLERS

HERE = Path(__file__).resolve().parent
TYPES = HERE / "src" / "lib" / "schema.d.ts"
HEAD = "// SPDX-License-Identifier: MPL-2.0\n// Made by `make types` from the routes.\n"


def types() -> str:
    """The file as it has to be."""
    routes = schema.contracts(Litestar(HANDLERS, openapi_config=None).routes)
    wanted = [each for each in routes if each[1].startswith(("/api/", "/steps/")) or each[1] == "/logout"]
    document = schema.document(wanted)
    return HEAD + build.script("types", given=msgspec.json.encode(document).decode())


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when it is not current")
    wanted = types()
    if parser.parse_args().check:
        if TYPES.is_file() and TYPES.read_text(encoding="utf-8") == wanted:
            return 0
        sys.stderr.write(f"{TYPES.name} is not what the routes declare; run `make types`\n")
        return 1
    TYPES.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
