# SPDX-License-Identifier: MPL-2.0
"""One contract of a step, and the kinds that keep it, as modules in a plain dict."""
