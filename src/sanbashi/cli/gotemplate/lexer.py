"""Template text to tokens, with Go's own words for what is wrong."""

from sanbashi.cli.gotemplate.text import printable, quote_char, show_quoted

LEFT, RIGHT = "{{", "}}"
SPACES = " \t\r\n"
KEYWORDS = frozenset(("block", "break", "continue", "define", "else", "end", "if", "range", "nil", "template", "with"))
DIGITS = "0123456789_"


class Token:
    """A token: kind, text, place in the text and line."""

    __slots__ = ("kind", "line", "pos", "text")

    def __init__(self, kind: str, text: str, pos: int, line: int) -> None:
        self.kind = kind
        self.text = text
        self.pos = pos
        self.line = line

    def __str__(self) -> str:
        if self.kind == "eof":
            return "EOF"
        if self.kind == "error":
            return self.text
        if self.kind in KEYWORDS or self.kind == "dot":
            return f"<{self.text}>"
        return show_quoted(self.text[:10]) + "..." if len(self.text) > 10 else show_quoted(self.text)


class LexError(Exception):
    """Ends the scan; becomes the last token."""


class Lexer:
    """Scans a whole text; the last token is eof or error."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.pos = self.start = 0
        self.line = self.start_line = 1
        self.parentheses = 0
        self.tokens: list[Token] = []

    def scan(self) -> list[Token]:
        """All tokens."""
        try:
            while self.outside():
                while self.inside():
                    pass
            self.emit("eof")
        except LexError as problem:
            self.tokens.append(Token("error", str(problem), self.start, self.start_line))
        return self.tokens

    def emit(self, kind: str) -> bool:
        text = self.text[self.start : self.pos]
        self.tokens.append(Token(kind, text, self.start, self.start_line))
        self.skip()
        return True

    def skip(self) -> None:
        self.line += self.text.count("\n", self.start, self.pos)
        self.start, self.start_line = self.pos, self.line

    def outside(self) -> bool:
        """Text up to the next action; whether there is one."""
        while True:
            opening = self.text.find(LEFT, self.pos)
            if opening < 0:
                self.pos = len(self.text)
                if self.pos > self.start:
                    self.emit("text")
                return False
            after = opening + len(LEFT)
            trimmed = self.text[after : after + 1] == "-" and self.text[after + 1 : after + 2] in tuple(SPACES)
            self.pos = self.start + len(self.text[self.start : opening].rstrip(SPACES)) if trimmed else opening
            if self.pos > self.start:
                self.emit("text")
            self.pos = opening
            self.skip()
            body = after + (2 if trimmed else 0)
            if self.text.startswith("/*", body):
                self.comment(body)
                continue
            self.pos = after
            self.emit("left")
            self.pos = body
            self.skip()
            self.parentheses = 0
            return True

    def comment(self, body: int) -> None:
        self.pos = body
        closing = self.text.find("*/", body)
        if closing < 0:
            raise LexError("unclosed comment")
        self.pos = closing + 2
        trimmed = self.right_trimmed(self.pos)
        if not trimmed and not self.text.startswith(RIGHT, self.pos):
            raise LexError("comment ends before closing delimiter")
        self.pos += len(RIGHT) + (2 if trimmed else 0)
        if trimmed:
            self.pos = self.spaces_end(self.pos)
        self.skip()

    def right_trimmed(self, at: int) -> bool:
        return self.text[at : at + 1] in tuple(SPACES) and self.text.startswith("-" + RIGHT, at + 1)

    def spaces_end(self, at: int) -> int:
        while at < len(self.text) and self.text[at] in SPACES:
            at += 1
        return at

    def inside(self) -> bool:
        """One token of an action; False once it is closed."""
        trimmed = self.right_trimmed(self.pos)
        if trimmed or self.text.startswith(RIGHT, self.pos):
            if self.parentheses:
                raise LexError("unclosed left paren")
            if trimmed:
                self.pos += 2
                self.skip()
            self.pos += len(RIGHT)
            self.emit("right")
            if trimmed:
                self.pos = self.spaces_end(self.pos)
                self.skip()
            return False
        if self.pos >= len(self.text):
            raise LexError("unclosed action")
        char = self.text[self.pos]
        if char in SPACES:
            return self.space()
        follower = self.text[self.pos + 1 : self.pos + 2]
        if char == ":":
            self.pos += 2
            if follower != "=":
                raise LexError("expected :=")
            return self.emit("declare")
        if char in _SINGLE:
            self.pos += 1
            self.count_parentheses(char)
            return self.emit(_SINGLE[char])
        if char in "\"'`":
            return self.quoted(char)
        if char == "$" or (char == "." and not ("0" <= follower <= "9")):
            return self.name("field" if char == "." else "variable", alone="dot" if char == "." else "variable")
        if char in "+-." or "0" <= char <= "9":
            return self.number()
        if alphanumeric(char):
            return self.identifier()
        self.pos += 1
        if char < "\x7f" and printable(char):
            return self.emit("char")
        raise LexError(f"unrecognized character in action: {show_rune(char)}")

    def count_parentheses(self, char: str) -> None:
        self.parentheses += (char == "(") - (char == ")")
        if self.parentheses < 0:
            raise LexError("unexpected right paren")

    def space(self) -> bool:
        end = self.spaces_end(self.pos)
        self.pos = end - 1 if self.right_trimmed(end - 1) else end
        return self.emit("space") if self.pos > self.start else True

    def quoted(self, mark: str) -> bool:
        kind, problem = _QUOTES[mark]
        at = self.pos + 1
        while True:
            char = self.text[at : at + 1]
            if char == "\\" and mark != "`" and self.text[at + 1 : at + 2] not in ("", "\n"):
                at += 2
                continue
            if not char or (char in "\\\n" and mark != "`"):
                raise LexError(problem)
            at += 1
            if char == mark:
                break
        self.pos = at
        return self.emit(kind)

    def name(self, kind: str, *, alone: str) -> bool:
        self.pos += 1
        if self.at_terminator():
            return self.emit(alone)
        self.run_alphanumeric()
        return self.emit(kind)

    def identifier(self) -> bool:
        self.run_alphanumeric()
        word = self.text[self.start : self.pos]
        return self.emit(word if word in KEYWORDS else "bool" if word in ("true", "false") else "identifier")

    def run_alphanumeric(self) -> None:
        while self.pos < len(self.text) and alphanumeric(self.text[self.pos]):
            self.pos += 1
        if not self.at_terminator():
            raise LexError(f"bad character {show_rune(self.text[self.pos])}")

    def at_terminator(self) -> bool:
        return self.pos >= len(self.text) or self.text[self.pos] in SPACES + ".,|:)(" or self.text.startswith(RIGHT, self.pos)

    def accept(self, chars: str) -> bool:
        if self.pos < len(self.text) and self.text[self.pos] in chars:
            self.pos += 1
            return True
        return False

    def accept_run(self, chars: str) -> None:
        while self.accept(chars):
            pass

    def number(self) -> bool:
        if not self.scan_number():
            raise LexError(f"bad number syntax: {show_quoted(self.text[self.start : self.pos])}")
        if self.text[self.pos : self.pos + 1] in ("+", "-"):
            if not self.scan_number() or self.text[self.pos - 1] != "i":
                raise LexError(f"bad number syntax: {show_quoted(self.text[self.start : self.pos])}")
            return self.emit("complex")
        return self.emit("number")

    def scan_number(self) -> bool:
        self.accept("+-")
        digits = DIGITS
        if self.accept("0"):
            for marks, those in (("xX", DIGITS + "abcdefABCDEF"), ("oO", "01234567_"), ("bB", "01_")):
                if self.accept(marks):
                    digits = those
                    break
        self.accept_run(digits)
        if self.accept("."):
            self.accept_run(digits)
        if (len(digits) == 11 and self.accept("eE")) or (len(digits) == 23 and self.accept("pP")):
            self.accept("+-")
            self.accept_run(DIGITS)
        self.accept("i")
        if self.pos < len(self.text) and alphanumeric(self.text[self.pos]):
            self.pos += 1
            return False
        return True


_SINGLE = {"=": "assign", "|": "pipe", "(": "(", ")": ")"}
_QUOTES = {
    '"': ("string", "unterminated quoted string"),
    "`": ("string", "unterminated raw quoted string"),
    "'": ("charconst", "unterminated character constant"),
}


def alphanumeric(char: str) -> bool:
    """A letter, a digit or the underscore, of any script."""
    return char == "_" or char.isalpha() or char.isdecimal()


def show_rune(char: str) -> str:
    """Go's %#U."""
    code = f"U+{ord(char):04X}"
    return f"{code} {quote_char(char)}" if printable(char) else code
