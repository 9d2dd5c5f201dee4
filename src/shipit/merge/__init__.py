# SPDX-License-Identifier: MPL-2.0
"""Plan trials, read their results and say the outcome; sees an object store only as a protocol."""
