# SPDX-License-Identifier: MPL-2.0
"""Parse deliveries into typed events; match routes; say why an event is ignored."""
