"""`did you mean`: the known word nearest to what was typed."""


def distance(first: str, second: str) -> int:
    """Edits from one word to the other: letters put in, left out, changed, or two swapped."""
    before: list[int] = []
    row = list(range(len(second) + 1))
    for place, char in enumerate(first, 1):
        after = [place]
        for other, letter in enumerate(second, 1):
            cost = min(row[other] + 1, after[-1] + 1, row[other - 1] + (char != letter))
            if place > 1 and other > 1 and char == second[other - 2] and first[place - 2] == letter:
                cost = min(cost, before[other - 2] + 1)
            after.append(cost)
        before, row = row, after
    return row[-1]


def nearest(word: str, known: list[str]) -> str:
    """The nearest known word, empty where none is near; dashes do not count, a beginning does."""
    plain = word.replace("-", "").replace("_", "").lower()
    best, found = 3 if len(plain) > 4 else 2, ""
    for each in known:
        bare = each.replace("-", "").lower()
        away = 0 if bare == plain else distance(plain, bare)
        if away and len(plain) >= 3 and bare.startswith(plain):
            away = 1
        if away < best:
            best, found = away, each
    return found
