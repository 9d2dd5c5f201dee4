# SPDX-License-Identifier: MPL-2.0
"""Which release trains exist now, how each spells branch, version and flags, and where in its cycle it is."""
