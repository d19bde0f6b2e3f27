from __future__ import annotations

import re
from datetime import datetime
from html.parser import HTMLParser
from typing import Any

from provisioner.visits import Cause, Effort, Failure
from provisioner.workflow.rehearsal.drawing import ticks
from provisioner.workflow.rehearsal.evidence import Evidence
from provisioner.workflow.rehearsal.machine import Load
from provisioner.workflow.rehearsal.page import page
from provisioner.workflow.rehearsal.verdict import judge
from tests.workflow.rehearsal.scenes import evidence, visit, visits

VOID = {"meta", "link", "br"}


class Reader(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def drawn(seen: Evidence) -> tuple[Reader, str]:
    text = page(seen, judge(seen), at=datetime(2026, 5, 4, 9, 30))
    return Reader(text), text


def test_a_pass_shows_everybody_and_asks_nothing_of_the_network() -> None:
    reader, text = drawn(evidence(visits(30), effort=Effort(0.1, 0.2, 0.01)))
    assert "PASS" in reader.words
    assert "Everybody logged in" in reader.words
    assert all(f"user{number:02}" in reader.words for number in range(1, 31))
    bars = [attrs for tag, attrs in reader.tags if tag == "rect"]
    assert len(bars) == 30 * 7, "six stages and the hold"
    assert not [tag for tag, _ in reader.tags if tag in {"script", "link", "img", "iframe"}]
    assert re.findall(r"https?://[^\"' ]+", text.replace("http://www.w3.org/2000/svg", "")) == []


def test_a_failure_is_named_with_its_cross_and_can_not_break_the_page() -> None:
    wicked = Failure(Cause.CELL, '<script>alert(1)</script> & "more"', 3)
    reader, text = drawn(evidence((visit("ada", failure=wicked), *visits(3))))
    assert "FAIL" in reader.words
    assert "<script>" not in text
    assert "<script>alert(1)</script>" in reader.words
    assert reader.words.count("✕") == 1


def test_without_numbers_of_the_machine_the_rest_is_shown() -> None:
    reader, _ = drawn(evidence(visits(2), load=Load()))
    assert "The machine gave no numbers" in reader.words
    assert "user02" in reader.words


def test_nobody_came_through() -> None:
    away = Failure(Cause.HTTPS, "connection refused")
    reader, _ = drawn(evidence(visits(2, failure=away), held=0, load=Load()))
    assert "connection refused" in reader.words


def test_ticks_are_round_and_cover_everything() -> None:
    for most in (0.04, 0.9, 7, 12.4, 100, 3599):
        found = ticks(most)
        assert found[0] == 0
        assert found[-1] >= most
        assert 3 <= len(found) <= 9
        step = found[1]
        assert f"{step:.0e}"[0] in "125"
