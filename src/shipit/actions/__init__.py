# SPDX-License-Identifier: MPL-2.0
"""What a person may do, the same for page, API and command line."""
