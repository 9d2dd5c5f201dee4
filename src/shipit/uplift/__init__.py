# SPDX-License-Identifier: MPL-2.0
"""Read uplift requests out of what Bugzilla says; compare known with seen; weigh evidence."""
