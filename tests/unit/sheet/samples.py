"""Sheets to print, and a reader of what was printed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pypdfium2
import zxingcpp

from provisioner.keys import new_password
from provisioner.models import Credential, Person, SheetOptions
from provisioner.sheet.cards import Layout, layout
from provisioner.sheet.forms import Sheet

URL = "https://workshop.example.org"
MM_PER_PT = 25.4 / 72
NAMES = (
    *("José Ñandú", "Łukasz Żółć", "李小龙", "אברהם כהן", "محمد الأحمد", "क्षितिज शर्मा"),
    *("Zoë 👩‍🔬 🎉", "ひらがな 太郎", "김철수", "Σωκράτης", "สมชาย ใจดี", "Дмитрий Иванов"),
)


def sheet(
    users: int = 3,
    *,
    names: tuple[str, ...] = (),
    url: str = URL,
    username: str = "user",
    admins: tuple[str, ...] = ("instructor",),
    options: SheetOptions | None = None,
    authority: str = "",
) -> Sheet:
    people = [
        Person(
            str(seat), f"{username}{seat:02}", name=names[(seat - 1) % len(names)] if names else ""
        )
        for seat in range(1, users + 1)
    ]
    people += [Person(name, name, admin=True) for name in admins]
    credentials = tuple(Credential(person, new_password()) for person in people)
    return Sheet(
        "tessera", url, credentials, options or SheetOptions(), authority, "Tue 24 Nov 20:11"
    )


@dataclass(frozen=True, slots=True)
class Box:
    """Millimetres from the top left of the page."""

    left: float
    top: float
    right: float
    bottom: float

    def holds(self, other: Box) -> bool:
        return (
            self.left <= other.left
            and self.top <= other.top
            and self.right >= other.right
            and self.bottom >= other.bottom
        )


class Paper:
    """A PDF as a person sees it: words in places, and pictures of pages."""

    def __init__(self, content: bytes) -> None:
        self._file = pypdfium2.PdfDocument(content)

    def __len__(self) -> int:
        return len(self._file)

    def size(self, page: int) -> tuple[float, float]:
        width, height = self._file[page].get_size()
        return width * MM_PER_PT, height * MM_PER_PT

    def text(self, page: int, box: Box | None = None) -> str:
        """Lines joined: where a long word was broken doesn't matter."""
        words = self._file[page].get_textpage()
        if box is None:
            found = words.get_text_bounded()
        else:
            height = self._file[page].get_height()
            found = words.get_text_bounded(
                left=box.left / MM_PER_PT,
                right=box.right / MM_PER_PT,
                top=height - box.top / MM_PER_PT,
                bottom=height - box.bottom / MM_PER_PT,
            )
        return str(found).replace("\r\n", "").replace("\x02", "-")

    def letters(self, page: int) -> Iterator[tuple[str, Box]]:
        words = self._file[page].get_textpage()
        height = self._file[page].get_height()
        for index in range(words.count_chars()):
            letter = words.get_text_range(index, 1)
            if letter.strip():
                left, bottom, right, top = words.get_charbox(index)
                yield (
                    letter,
                    Box(
                        left * MM_PER_PT,
                        (height - top) * MM_PER_PT,
                        right * MM_PER_PT,
                        (height - bottom) * MM_PER_PT,
                    ),
                )

    def codes(self, page: int) -> list[str]:
        """What a phone reads in the page's QR codes."""
        picture = self._file[page].render(scale=200 / 72).to_pil()
        return [found.text for found in zxingcpp.read_barcodes(picture)]


def cells(paper: str, cards: int) -> list[Box]:
    """Where the cards of a page are, in reading order."""
    place: Layout = layout(paper, cards)
    return [
        Box(
            place.margin + column * place.card_width,
            place.margin + row * place.card_height,
            place.margin + (column + 1) * place.card_width,
            place.margin + (row + 1) * place.card_height,
        )
        for row in range(place.rows)
        for column in range(place.columns)
    ]
