# SPDX-License-Identifier: BSD-2-Clause
"""A conformance suite for address translators. README.md says how to run it."""
