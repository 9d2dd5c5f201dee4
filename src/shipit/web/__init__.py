# SPDX-License-Identifier: MPL-2.0
"""The web service: stores and serves; no analysis and no long task."""
