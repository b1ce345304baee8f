"""The model card: written with the artefact, from the data and the figures themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from otklik.nlp.artefact import CARD, Manifest
from otklik.nlp.records import Analysis
from otklik.taxonomy.model import Taxonomy
from otklik.training.cases import Case
from otklik.training.evaluate import MIN_SUPPORT, Report, evaluate

_FEW = 15  # texts of a domain below which its figures would be chance
_LIMITS = """
- Russian only. Other alphabets, transliteration and texts without words are marked (`not_russian`, `no_words`); do not rely on them.
- The real training texts are about banks, hotels, marketplaces, restaurants, telecom, places, a video platform and citizens' appeals. For
  other industries (air, rail, tours, insurance, taxi, schools, gift certificates, clinics, …) there are only cases written for the project.
- Rare labels rest on few cases; those without a figure have too few for one. `needs_review` marks a part of the doubtful answers, not all.
- Labels follow one annotation guide closely. A company with other borders between its reasons has to label cases of its own and train on.
- Irony, quotes of other people, and several authors in one text are read literally more often than not.
- Not for decisions about people: it sorts feedback for those who answer it.
"""


def card(
    manifest: Manifest,
    taxonomy: Taxonomy,
    data: Mapping[str, Sequence[Case]],
    gold: Mapping[str, tuple[Sequence[Case], Sequence[Analysis]]],
) -> str:
    """Markdown. ``data``: training cases by what they are; ``gold``: cases and answers by what they are."""
    lines = [
        f"# {manifest.version}",
        "",
        "Complaint reasons, sentiment and urgency triggers of Russian customer feedback. Part of Otklik (MIT).",
        "",
        f"- **Taxonomy**: {manifest.taxonomy_id} {manifest.taxonomy_version}.",
        f"- **Base**: {manifest.origin}.",
        "- **Changed**: vocabulary cut to Russian, short Latin words, digits, punctuation and emoji; fine-tuned, then rounded to 8 bits.",
        f"- **Reads** whole texts in windows of {manifest.window} tokens over sentences; says which passages carry a label.",
        "- **Runs** on a CPU with OpenVINO. Answers are the same whatever other texts are read together with a text.",
        "",
        "## Data",
        "",
        "| what | cases | with a category | domains |",
        "|---|---|---|---|",
    ]
    for name, cases in data.items():
        domains = Counter(case.domain for case in cases)
        most = ", ".join(f"{domain} {count}" for domain, count in domains.most_common(6))
        lines.append(
            f"| {name} | {len(cases)} | {sum(bool(case.categories) for case in cases)} | {most}{', …' if len(domains) > 6 else ''} |"
        )
    lines += [
        "",
        "All were labelled by reading, by the definitions in the taxonomy; no rule decided a label. The real texts belong to their authors",
        "and are not redistributed: labels of unlabelled texts are kept by digest. The written cases are part of the repository.",
    ]
    for name, (cases, analyses) in gold.items():
        lines += ["", f"## {name}", "", *_figures(taxonomy, cases, analyses)]
    lines += ["", "## Limits", _LIMITS.rstrip(), ""]
    return "\n".join(lines)


def _figures(taxonomy: Taxonomy, cases: Sequence[Case], analyses: Sequence[Analysis]) -> list[str]:
    report = evaluate(taxonomy, cases, analyses)
    lines = [f"{len(cases)} texts.", "", "| layer | macro-F1 | micro-F1 |", "|---|---|---|"]
    lines += [f"| {name} | {_figure(layer.macro_f1)} | {layer.micro_f1:.3f} |" for name, layer in report.layers.items()]
    lines += [
        "",
        f"By label (F1 only with {MIN_SUPPORT} cases or more):",
        "",
        "| label | cases | precision | recall | F1 |",
        "|---|---|---|---|---|",
    ]
    for layer in report.layers.values():
        for label in layer.labels:
            figures = (label.precision, label.recall, label.f1) if label.in_macro else (None, None, None)
            lines.append(f"| {label.id} | {label.support} | {' | '.join(map(_figure, figures))} |")
    domains = [domain for domain, count in Counter(case.domain for case in cases).most_common() if count >= _FEW]
    if len(domains) > 1:
        lines += ["", "By domain (micro-F1):", "", "| domain | texts | categories | sentiment | triggers |", "|---|---|---|---|---|"]
        lines += [_domain_row(taxonomy, domain, cases, analyses) for domain in domains]
    return lines


def _domain_row(taxonomy: Taxonomy, domain: str, cases: Sequence[Case], analyses: Sequence[Analysis]) -> str:
    members = [(case, analysis) for case, analysis in zip(cases, analyses, strict=True) if case.domain == domain]
    report: Report = evaluate(taxonomy, [case for case, _ in members], [analysis for _, analysis in members])
    return f"| {domain} | {len(members)} | {' | '.join(_figure(layer.micro_f1) for layer in report.layers.values())} |"


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def write_card(folder: Path, text: str) -> None:
    """Beside the files of the model; not among the digested ones, so that figures can be added without a new model."""
    (folder / CARD).write_text(text, encoding="utf-8")
