# SPDX-License-Identifier: MPL-2.0
"""Ship It: helps release managers and release engineers build, ship and maintain releases."""
