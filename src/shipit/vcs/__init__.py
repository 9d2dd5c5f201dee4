# SPDX-License-Identifier: MPL-2.0
"""git as processes: a store of objects on which trials run without a working copy, and clones kept fresh."""
