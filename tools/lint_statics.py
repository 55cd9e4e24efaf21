"""tools/lint_statics.py -- a rule of tools/lint: a static function's name stands in one file, so that it means one thing."""
import re

# What every program or verb has, under one name by convention (CONTRIBUTING.md).
CONVENTION = {"main", "run", "usage", "read_arguments"}
STATIC = re.compile(r"^static [^\n;=(]*?\b(?:\w+\([^()\n]*\) )*[^\n;=(]*?\b(\w+)\([^;{]*\)\s*\{", re.M)


def names(sources):
    """Two backends (sqlite*, postgres*) may each have the function of one role; all other files have names of their own."""
    first = {}
    for source in sources:
        for match in STATIC.finditer(source.code) if re.match(r"src/.*\.c$", source.name) else ():
            name, role = match[1], re.sub("sqlite|postgres", "BACKEND", source.name)
            other = first.setdefault(name, (source.name, role))
            if name not in CONVENTION and other[0] != source.name and other[1] != role:
                yield source.name, source.line_at(match.start()), f"{name}() is in {other[0]}, too", "share it, or name it by what it acts on"
