# SPDX-License-Identifier: MPL-2.0
"""The uplift bot: reads, analyses, tries and reports. Speaks only REST to the backend; no database."""
