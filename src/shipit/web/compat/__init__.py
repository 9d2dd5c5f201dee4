# SPDX-License-Identifier: MPL-2.0
"""The original services' own dialects, with their defects mended."""
