# SPDX-License-Identifier: MPL-2.0
"""`python -m shipit` is `shipit`."""

from shipit.cli import main

main()
