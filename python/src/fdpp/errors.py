# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The one exception that a user may cause."""


class UserError(Exception):
    """One lower-case line without full stop: what, where, what to do."""
