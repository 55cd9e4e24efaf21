"""Prometheus's text format, parsed strictly: https://prometheus.io/docs/instrumenting/exposition_formats/."""

import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\\n]|\\["\\n])*)"')
SAMPLE = re.compile(rf"({NAME})(?:\{{(.+)\}})? (-?\d+(?:\.\d+)?)")
PARTS = ("_bucket", "_sum", "_count")


class Sample(dict):
    """The labels; and name and value."""

    def __init__(self, name, labels, value):
        super().__init__(labels)
        self.name, self.value = name, value


class Family:
    def __init__(self, name, text):
        self.name, self.text, self.kind, self.samples = name, text, None, []

    def labels(self):
        return {label for sample in self.samples for label in sample} - {"le"}

    def check(self):
        assert self.kind in ("counter", "gauge", "histogram") and self.text.strip(), self.name
        assert (self.kind == "counter") == self.name.endswith("_total"), self.name
        keys = [(sample.name, *sorted(sample.items())) for sample in self.samples]
        assert len(set(keys)) == len(keys), self.name
        if self.kind == "histogram":
            self.check_histograms()

    def check_histograms(self):
        kinds = {}
        for sample in self.samples:
            assert sample.name.removeprefix(self.name) in PARTS, sample.name
            key = tuple(sorted((label, value) for label, value in sample.items() if label != "le"))
            kinds.setdefault(key, []).append(sample)
        for own in kinds.values():
            *buckets, total, count = own
            assert [sample.name.removeprefix(self.name) for sample in (total, count)] == ["_sum", "_count"]
            bounds = [float(sample["le"]) for sample in buckets]
            counts = [sample.value for sample in buckets]
            assert bounds == sorted(set(bounds)) and bounds[-1] == float("inf") and counts == sorted(counts)
            assert counts[-1] == count.value


class Exposition:
    def __init__(self, text):
        self.families, family = {}, None
        assert text.endswith("\n")
        for line in text.splitlines():
            if match := re.fullmatch(rf"# HELP ({NAME}) (.*)", line):
                assert match[1] not in self.families, line
                family = self.families[match[1]] = Family(match[1], match[2])
            elif match := re.fullmatch(rf"# TYPE ({NAME}) (\w+)", line):
                assert match[1] == family.name and family.kind is None, line
                family.kind = match[2]
            else:
                self.add(family, line)
        for each in self.families.values():
            each.check()

    @staticmethod
    def add(family, line):
        match = SAMPLE.fullmatch(line)
        assert match and family.kind, line
        labels = LABEL.findall(match[2] or "")
        assert ",".join(f'{name}="{value}"' for name, value in labels) == (match[2] or ""), line
        assert match[1] == family.name or (family.kind == "histogram" and match[1].startswith(family.name)), line
        family.samples.append(Sample(match[1], labels, float(match[3])))

    def all(self, name):
        family = self.families.get(name) or self.families[re.sub("_(bucket|sum|count)$", "", name)]
        return [sample for sample in family.samples if sample.name == name]

    def value(self, name, **labels):
        """Of the one sample with these labels; None: there is none."""
        found = [sample.value for sample in self.all(name) if sample == labels]
        return found[0] if found else None

    def series(self):
        return {(sample.name, tuple(sorted(sample.items()))) for family in self.families.values() for sample in family.samples}
