# SPDX-License-Identifier: MPL-2.0
"""A stateful fake of the services outside, answering as the recorded ones do; for tests and the demo."""
