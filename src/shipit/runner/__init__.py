# SPDX-License-Identifier: MPL-2.0
"""The backend's worker: moves pipelines, writes decisions, tells when bot or listener fall silent."""
