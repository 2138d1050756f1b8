#!/usr/bin/env python3
"""Checks that comments and documents are written in plain technical English.

Counts phrases that make the project's prose hard to read: clauses with "who" or "whoever" as the subject, "told" and
"tells" for "reports", "stands" for "is", "anew", "beside", "of its own", "mend", "is none", house metaphors, and
"nobody" or "somebody". Each phrase has a bound per 10,000 words. Plain prose needs some of these words now and then, so
most bounds are above 0.

usage: tests/prose_check.py [PATH ...]

A path is a file or a folder. Counted are the whole text of Markdown files, the comments of Rust and TOML files, and
nothing else. Without arguments the paths are those of DEFAULT_PATHS. Prints the rate of each phrase, and for a phrase
above its bound the lines that contain it. Exit code 1 if a phrase is above its bound, 2 if a path does not exist or
contains no prose.
"""
import os
import re
import sys

DEFAULT_PATHS = [
    "src",
    "docs",
    "tests/gateway",
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "config/default.toml",
]

# The bounds follow the rates of the same phrases in well-known Rust servers and tools.
# name: (pattern, bound per 10,000 words)
PHRASES = {
    "whoever, who-clauses as subject": (
        r"\b(whoever|whom|those who"
        r"|who(?= (is|was|has|may|can|waits|asks|comes|leaves|signs|steals|replays|wants)))\b",
        3.0,
    ),
    "told, tell": (r"\b(told|tells?)\b", 3.0),
    "stands, stood": (r"\b(stands?|stood)\b", 1.0),
    "anew": (r"\banew\b", 0.5),
    "beside": (r"\bbesides?\b", 1.5),
    "of ours, of its own": (r"\bof (ours|its own|one's own|their own)\b", 1.0),
    "mend": (r"\bmend(s|ed)?\b", 0.0),
    "is none": (r"\b(is|are|be) none\b", 1.3),
    # Door codes are a term of the rental domain.
    "house, room, door, stranger, glutton": (
        r"\b(door(?! codes?)|house|rooms?|neighbours?|strangers?|newcomers?|gluttons?|town)\b",
        2.0,
    ),
    "anybody, nobody, somebody": (r"\b(any|no|some|every)body\b", 1.5),
}

# Invented rental data, in which houses, rooms and neighbours are meant literally.
EXEMPT = re.compile(r"(simulator/seed|fixtures|agents_day|operations\.json)")
# Folders that contain no sources of this project.
SKIPPED = {"target", "node_modules", ".git"}
COMMENTS = {".rs": re.compile(r"\s*//[/!]?(.*)"), ".toml": re.compile(r"\s*#(.*)")}
# A phrase above its bound is shown at this many places at most.
SHOWN = 40


def files(paths):
    """Yields the files at the paths and below them, each folder in alphabetical order."""
    for path in paths:
        if os.path.isfile(path):
            yield path
            continue
        for folder, folders, names in os.walk(path):
            folders[:] = sorted(name for name in folders if name not in SKIPPED)
            for name in sorted(names):
                yield os.path.join(folder, name)


def prose(path):
    """Yields the lines of prose in a file, with their numbers."""
    kind = os.path.splitext(path)[1]
    if kind != ".md" and kind not in COMMENTS:
        return
    with open(path, encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            if kind == ".md":
                yield number, line
            else:
                comment = COMMENTS[kind].match(line)
                if comment:
                    yield number, comment.group(1)


def main():
    paths = sys.argv[1:]
    if not paths:
        os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
        paths = DEFAULT_PATHS
    missing = [path for path in paths if not os.path.exists(path)]
    if missing:
        print("prose_check: not found: " + ", ".join(missing), file=sys.stderr)
        return 2

    words = 0
    found = {phrase: [] for phrase in PHRASES}
    for path in files(paths):
        if EXEMPT.search(path):
            continue
        for number, text in prose(path):
            words += len(text.split())
            for phrase, (pattern, _) in PHRASES.items():
                places = re.findall(pattern, text, re.IGNORECASE)
                found[phrase] += [f"{path}:{number}: {text.strip()}"] * len(places)
    if not words:
        print("prose_check: no prose at " + ", ".join(paths), file=sys.stderr)
        return 2

    print(f"{words} words; per 10,000 words:")
    above = []
    for phrase, (_, bound) in PHRASES.items():
        rate = len(found[phrase]) * 10_000 / words
        if rate > bound:
            above.append(phrase)
        print(f"{'ABOVE' if rate > bound else '     '} {rate:6.1f}  bound {bound:4.1f}  {phrase}")
    for phrase in above:
        places = list(dict.fromkeys(found[phrase]))
        print(f"\n{phrase}:")
        print("\n".join(f"  {place}" for place in places[:SHOWN]))
        if len(places) > SHOWN:
            print(f"  and {len(places) - SHOWN} more lines")
    return 1 if above else 0


sys.exit(main())
