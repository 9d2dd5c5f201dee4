# SPDX-License-Identifier: MPL-2.0
"""The backend's worker: raises the alarm when the bot falls silent."""
