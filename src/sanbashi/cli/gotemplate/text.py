"""Go's quoted strings: writing them (%q) and reading them (strconv.Unquote)."""

_WRITTEN = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\\": "\\\\"}
_READ = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", "'": "'", '"': '"'}


def printable(char: str) -> bool:
    """Whether Go prints the character as it is."""
    return char == " " or (char.isprintable() and not char.isspace())


def _escape(char: str, mark: str, ascii_only: bool) -> str:
    if char == mark:
        return "\\" + char
    if char in _WRITTEN:
        return _WRITTEN[char]
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was no UTF-8 (surrogateescape)
        return f"\\x{code - 0xDC00:02x}"
    if printable(char) and not (ascii_only and code > 0x7E):
        return char
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def quote(text: str, *, ascii_only: bool = False) -> str:
    """The text in double quotes as strconv.Quote writes it."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return '"' + "".join(_escape(char, '"', ascii_only) for char in text) + '"'


show_quoted = quote


def quote_char(char: str, *, ascii_only: bool = False) -> str:
    """One character in single quotes."""
    return "'" + _escape(char, "'", ascii_only) + "'"


def unquote(text: str) -> str:
    """The string a Go literal stands for; ValueError where it is none."""
    mark, body = text[0], text[1:-1]
    if mark == "`":
        return body.replace("\r", "")
    out: list[str] = []
    raw = bytearray()  # \x and octal escapes are bytes; a run of them may be UTF-8

    def flush() -> None:
        out.append(raw.decode("utf-8", "surrogateescape"))
        raw.clear()

    at = 0
    while at < len(body):
        char = body[at]
        at += 1
        if char == mark or char == "\n":
            raise ValueError("invalid syntax")
        if char != "\\":
            flush()
            out.append(char)
            continue
        char = body[at : at + 1]
        at += 1
        width = {"x": 2, "u": 4, "U": 8}.get(char, 0)
        if width:
            digits = body[at : at + width]
            at += width
            if len(digits) < width or not all(each in "0123456789abcdefABCDEF" for each in digits):
                raise ValueError("invalid syntax")
            code = int(digits, 16)
            if char == "x":
                raw.append(code)
                continue
            if code > 0x10FFFF or 0xD800 <= code < 0xE000:
                raise ValueError("invalid syntax")
            flush()
            out.append(chr(code))
        elif char in "01234567" and char:
            digits = char + body[at : at + 2]
            at += 2
            if len(digits) < 3 or not all(each in "01234567" for each in digits) or int(digits, 8) > 255:
                raise ValueError("invalid syntax")
            raw.append(int(digits, 8))
        elif char in _READ and char and not (char in "'\"" and char != mark):
            flush()
            out.append(_READ[char])
        else:
            raise ValueError("invalid syntax")
    flush()
    return "".join(out)
