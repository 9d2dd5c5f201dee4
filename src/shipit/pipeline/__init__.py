# SPDX-License-Identifier: MPL-2.0
"""The graph of steps and its one transition function."""
