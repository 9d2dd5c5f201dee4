# SPDX-License-Identifier: MPL-2.0
"""Adapters to the services outside: few questions each, errors in our words."""
