# SPDX-License-Identifier: MPL-2.0
"""git and Mercurial as processes: trials on stores of objects, without a working copy; clones kept fresh."""
