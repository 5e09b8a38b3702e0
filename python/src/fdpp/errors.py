# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The one exception that a user may cause."""


class UserError(Exception):
    """One lower-case line without full stop: what, where, what to do.

    Names that a file brought along are shown with what a terminal would act
    on, or cannot print, as escapes."""

    def __init__(self, message: str):
        super().__init__("".join(
            c if c.isprintable() else c.encode("unicode_escape").decode() for c in message
        ))
