# SPDX-License-Identifier: MPL-2.0
"""Hear every event, store it, trigger exactly one task for it, and follow that task to its end."""
