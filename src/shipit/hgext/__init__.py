# SPDX-License-Identifier: GPL-2.0-or-later
"""What runs inside Mercurial's command server and nowhere else: nothing here is imported by the house."""
