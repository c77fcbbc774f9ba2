"""The GSM 7-bit default alphabet and its extension table (3GPP 23.038 §6.2.1), and 7-bit packing (§6.1.2).

Encoded text is one septet an octet, as SMPP carries it with data_coding 0; an extension character is two of
them, the escape 0x1B and its code. The escape itself is no character: a text that holds U+001B is outside.
"""

from __future__ import annotations

import codecs
import re

ESCAPE = 0x1B

BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ"
    " !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
"""The default alphabet: the character of each code 0x00..0x7F, with U+001B standing for the escape."""

EXTENSION: dict[int, str] = {
    0x0A: "\f", 0x14: "^", 0x28: "{", 0x29: "}", 0x2F: "\\", 0x3C: "[", 0x3D: "~", 0x3E: "]", 0x40: "|",
    0x65: "€",
}  # fmt: skip
"""The extension table: code after the escape → character."""

_UNDEFINED = "\ufffe"
_WITH_ESCAPE = codecs.charmap_build(BASIC + _UNDEFINED * 128)
_WITHOUT_ESCAPE = codecs.charmap_build(BASIC.replace("\x1b", _UNDEFINED) + _UNDEFINED * 128)
_DECODING = BASIC + "\ufffd" * 128
_ESCAPED = str.maketrans({char: "\x1b" + BASIC[code] for code, char in EXTENSION.items()})
_OUTSIDE = re.compile("[^" + re.escape(BASIC.replace("\x1b", "") + "".join(EXTENSION.values())) + "]")
_PAIR = re.compile("\x1b(.?)", re.DOTALL)
# What a receiver shows for an escape and the basic character after it. An escape after an escape announces a
# further table, which nobody has defined: §6.2.1.1 has a space shown for it.
_SHOWN = {"": "", "\x1b": " "} | {BASIC[code]: char for code, char in EXTENSION.items()}

_TWINS: dict[str, str] = {
    **dict.fromkeys("‘’‚‛′‵´`ʼʹ", "'"),
    **dict.fromkeys("“”„‟″‶«»", '"'),
    "‹": "<",
    "›": ">",
    **dict.fromkeys("‐‑‒–—―−⁃", "-"),
    "…": "...",
    "‥": "..",
    "•": "*",
    "·": ".",
    "⁄": "/",
    # Tab, no-break space, the fixed-width spaces (among them thin and figure space), narrow no-break space,
    # medium mathematical space, ideographic space.
    **dict.fromkeys("\t\u00a0\u202f\u205f\u3000", " "),
    **dict.fromkeys(map(chr, range(0x2000, 0x200B)), " "),
    **dict.fromkeys("\u2028\u2029\u0085\v", "\n"),
    # Soft hyphen, zero-width space, word joiner, byte-order mark: nothing is seen where they stand.
    **dict.fromkeys("\u00ad\u200b\u2060\ufeff", ""),
}
_TWIN_TABLE = str.maketrans(_TWINS)


def first_outside(text: str) -> int | None:
    """Index of the first character that GSM-7 does not have (it forces UCS-2); None when there is none."""
    found = _OUTSIDE.search(text)
    return None if found is None else found.start()


def is_gsm(text: str) -> bool:
    """True when every character is in the default alphabet or its extension table."""
    return _OUTSIDE.search(text) is None


def encode(text: str) -> bytes:
    """`text` as one septet an octet; ValueError, naming the character, when GSM-7 does not have it."""
    try:
        return codecs.charmap_encode(text, "strict", _WITHOUT_ESCAPE)[0]
    except UnicodeEncodeError:
        pass
    outside = first_outside(text)
    if outside is not None:
        raise ValueError(f"U+{ord(text[outside]):04X} at index {outside} is not in the GSM 7-bit default alphabet")
    return codecs.charmap_encode(text.translate(_ESCAPED), "strict", _WITH_ESCAPE)[0]


def decode(data: bytes) -> str:
    """The text of unpacked septets, one an octet; never raises.

    An escape before a code that the extension table does not have shows that code's basic character
    (3GPP 23.038 §6.2.1.1), a last octet that is an escape is dropped, and an octet above 0x7F, which is no
    septet at all, becomes U+FFFD.
    """
    text = codecs.charmap_decode(data, "strict", _DECODING)[0]
    if ESCAPE not in data:
        return text
    return _PAIR.sub(lambda pair: _SHOWN.get(pair[1], pair[1]), text)


def twin(char: str) -> str | None:
    """What smart encoding writes for a typographic character ("" for invisible ones); None: no twin."""
    return _TWINS.get(char)


def smart(text: str) -> str:
    """`text` with typographic characters replaced by their GSM twins (wire contract §3, opt-in).

    Where other characters force UCS-2 all the same, replacing would lose something for nothing: then the text
    comes back as it was.
    """
    if is_gsm(text):
        return text
    plain = text.translate(_TWIN_TABLE)
    return plain if is_gsm(plain) else text


def pack(septets: bytes, fill_bits: int = 0) -> bytes:
    """Septets (one an octet) packed seven bits each, low bits first (3GPP 23.038 §6.1.2.1).

    `fill_bits` zero bits come first, as after a user data header that does not end on a septet boundary.
    """
    value = 0
    for position, septet in enumerate(septets):
        value |= (septet & 0x7F) << (7 * position)
    bits = fill_bits + 7 * len(septets)
    return (value << fill_bits).to_bytes((bits + 7) // 8, "little")


def unpack(data: bytes, count: int, fill_bits: int = 0) -> bytes:
    """The first `count` septets of packed `data` after `fill_bits` bits; ValueError when it is too short."""
    if fill_bits + 7 * count > 8 * len(data):
        raise ValueError(f"{count} septets do not fit {len(data)} octets")
    value = int.from_bytes(data, "little") >> fill_bits
    return bytes((value >> (7 * position)) & 0x7F for position in range(count))
