# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Seeded text that is hard on tokenizers."""

import random
import sys
import unicodedata

# First and last code point of blocks to draw words from.
_SCRIPTS = [
    (0x0041, 0x005A), (0x0061, 0x007A), (0x00C0, 0x024F), (0x0370, 0x03FF),
    (0x0400, 0x04FF), (0x0531, 0x0587), (0x05D0, 0x05EA), (0x0620, 0x06D3),
    (0x0904, 0x0963), (0x0985, 0x09CE), (0x0B85, 0x0BCD), (0x0E01, 0x0E4E),
    (0x0F40, 0x0F84), (0x10A0, 0x10FF), (0x1100, 0x11FF), (0x1200, 0x1256),
    (0x13A0, 0x13F5), (0x1780, 0x17D3), (0x1E00, 0x1EFF), (0x1F00, 0x1FFE),
    (0x3041, 0x3096), (0x30A1, 0x30FA), (0x4E00, 0x9FA5), (0xAC00, 0xD7A3),
    (0xF900, 0xFA6D), (0xFB00, 0xFB06), (0xFF10, 0xFF5A), (0x10400, 0x1044F),
    (0x1D400, 0x1D7FF), (0x20000, 0x20100),
]  # fmt: skip
_SPACES = (
    " \t\n\r\v\f\x1c\x1d\x1e\x1f\x85\xa0\u1680\u180e\u2000\u2003\u2009\u200a\u200b"
    "\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
)
_EMOJI = (
    "😀 👍🏽 👩‍👩‍👧‍👦 🏳️‍🌈 🇫🇷 ❤️ 🧑🏿‍🚀 1️⃣ ☃ 🤷🏻‍♂️ 🫠 ™ © ♥︎ ⓂⒶ 🅰 🆗 🈳 ㊙"
).split()
_NUMBERS = "½ ² ⅷ Ⅻ ① ⑳ ٣ ٤٥ ४२ ０１２ 𝟘𝟙 〇 ௧ ㉑ 1234567890 3.14159 1e-9 0xFF 007".split()
_CODE = [
    "def f(x):\n    return x**2  # squared\n",
    "for (int i = 0; i < n; ++i) {\n\tsum += a[i];\n}\n",
    "<div class=\"a-b\">\r\n  <p>it's &amp; they'll</p>\r\n</div>",
    "SELECT * FROM t WHERE a='b' AND c<=1;--\n",
    "std::vector<std::unique_ptr<Foo>> v;\n\n\n\n    }",
    "x = {'a': [1, 2, 3], \"b\": None}\\n",
    "git commit -m 'fix: don''t' && rm -rf ./build/*",
]
_CONTRACTIONS = "'s 't 're 've 'm 'll 'd 'S 'T 'RE 'Ve 'LL 'ſ ’s I'm you'Re it'sn't K'm".split()
_WORDS = (
    "the quick brown fox jumps over a lazy dog Once upon time there was hello world"
    " tokenizer Llama inference attention naïve café Straße Ελληνικά привет мир"
    " 日本語のテキスト 中文分词 한국어 العربية עברית हिन्दी ภาษาไทย"
).split()


class Corpus:
    """Strings of many kinds; `special` are spelled inside some of them."""

    def __init__(self, seed: int, special: list[str] = ()):
        self.random = random.Random(seed)
        self.special = list(special) or ["<s>"]
        self.kinds = [
            self._words, self._words, self._script, self._mixture, self._mixture,
            self._spaces, self._digits, self._emoji, self._combining, self._code,
            self._bytes, self._controls, self._specials, self._long_word,
            self._any_characters, self._contractions, self._marks,
        ]  # fmt: skip

    def strings(self, count: int) -> list[str]:
        fixed = ["", " ", "  ", "\n", "\n\n", " \n ", "a", " a", "a ", "\x00", "\u2581", "\ufffd"]
        fixed += self.special + [f" {token} " for token in self.special]
        made = [self.random.choice(self.kinds)() for _ in range(max(0, count - len(fixed)))]
        return (fixed + made)[:count]

    def _few(self, low: int, high: int) -> range:
        return range(self.random.randint(low, high))

    def _character(self) -> str:
        while True:
            character = chr(self.random.randint(*self.random.choice(_SCRIPTS)))
            if unicodedata.category(character) != "Cn":
                return character

    def _words(self) -> str:
        return " ".join(self.random.choice(_WORDS) for _ in self._few(1, 12))

    def _script(self) -> str:
        low, high = self.random.choice(_SCRIPTS)
        drawn = (chr(self.random.randint(low, high)) for _ in self._few(1, 25))
        text = "".join(c for c in drawn if unicodedata.category(c) != "Cn")
        return text[:7] + " " + text[7:]

    def _mixture(self) -> str:
        parts = [self._words, self._script, self._spaces, self._digits, self._emoji,
                 self._combining, self._code, self._contractions]  # fmt: skip
        return "".join(self.random.choice(parts)() for _ in self._few(2, 5))

    def _spaces(self) -> str:
        runs = []
        for _ in self._few(1, 4):
            space = self.random.choice([" ", " ", "\n", "\t", *_SPACES])
            runs.append(space * self.random.choice([1, 1, 2, 3, 4, 8, 17]))
            runs.append(self.random.choice(["", "", "x", "word", "9", "!", "é"]))
        return "".join(runs)

    def _digits(self) -> str:
        parts = [self.random.choice(_NUMBERS + ["0", "12", "345", "6789"]) for _ in self._few(1, 6)]
        return self.random.choice(["", " ", ",", "a"]).join(parts)

    def _emoji(self) -> str:
        return self.random.choice(["", " "]).join(
            self.random.choice(_EMOJI) for _ in self._few(1, 6)
        )

    def _combining(self) -> str:
        text = ""
        for _ in self._few(1, 8):
            text += self._character()
            text += "".join(chr(self.random.randint(0x300, 0x36F)) for _ in self._few(0, 4))
        form = self.random.choice(["NFC", "NFD", "NFKC", "NFKD", ""])
        return unicodedata.normalize(form, text) if form else text

    def _code(self) -> str:
        return "".join(self.random.choice(_CODE) for _ in self._few(1, 3))

    def _bytes(self) -> str:
        return self.random.randbytes(self.random.randint(1, 40)).decode("utf-8", "replace")

    def _controls(self) -> str:
        return "".join(
            chr(self.random.choice([*range(0x20), *range(0x7F, 0xA0), 0x200D, 0x202E, 0xFEFF, 65]))
            for _ in self._few(1, 12)
        )

    def _specials(self) -> str:
        parts = []
        for _ in self._few(1, 5):
            token = self.random.choice(self.special)
            cut = self.random.randrange(len(token))
            parts += [self.random.choice(["", " ", "  ", "\n", "a", "é", "hello ", "1", "\u200d"]),
                      self.random.choice([token, token, token, token[:cut], token[cut:]])]  # fmt: skip
        return "".join(parts)

    def _long_word(self) -> str:
        return self.random.choice(
            ["a" * self.random.randint(100, 2000),
             "".join(self._character() for _ in range(self.random.randint(100, 600))),
             "abc" * self.random.randint(50, 300) + " end",
             "=" * self.random.randint(10, 200)]  # fmt: skip
        )

    def _any_characters(self) -> str:
        text = ""
        while len(text) < self.random.randint(1, 12):
            code = self.random.randrange(sys.maxunicode + 1)
            if not 0xD800 <= code <= 0xDFFF and unicodedata.category(chr(code)) != "Cn":
                text += chr(code)
        return text

    def _contractions(self) -> str:
        return "".join(
            self.random.choice([*_CONTRACTIONS, "word", " ", "don", " they"])
            for _ in self._few(1, 8)
        )

    def _marks(self) -> str:
        """What SentencePiece writes for spaces, and spelled bytes."""
        return "".join(
            self.random.choice(["\u2581", "\u2581\u2581", " ", "a", "Hello", "<0x0A>", "<0x", "Ġ", "\n"])
            for _ in self._few(1, 8)
        )
