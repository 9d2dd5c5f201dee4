# SPDX-License-Identifier: MPL-2.0
"""Read uplift requests out of what Bugzilla says; plan a round; weigh evidence."""
