# SPDX-License-Identifier: MPL-2.0
"""Who may sign, who has, what is missing."""
