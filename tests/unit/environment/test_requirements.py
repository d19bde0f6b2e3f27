"""pip's own format, as people have it on their disks."""

from __future__ import annotations

import posixpath

import pytest

from provisioner.environment.requirements import check, read


def found(**files: str) -> tuple[list[str], list[str]]:
    """What top.txt asks for; each file is one of `files`, named without its ending."""

    def text(name: str) -> str:
        if name not in texts:
            raise FileNotFoundError(2, "No such file or directory", name)
        return texts[name]

    def beside(here: str, there: str) -> str:
        return posixpath.normpath(posixpath.join(posixpath.dirname(here), there))

    texts = {f"{name}.txt": content for name, content in files.items()}
    asked = read("top.txt", text, beside)
    return asked.requirements, asked.constraints


def test_comments_continuations_and_empty_lines_are_understood() -> None:
    text = (
        "\ufeff# the workshop's\n\nnumpy>=2  # not 1\nipyleaflet \\\n  [extra]==0.20 \\\n"
        "  ; python_version > '3.9'\r\n"
        "pkg @ git+https://example.org/x.git@v1#egg=pkg\nlast\\"
    )
    assert found(top=text)[0] == [
        "numpy>=2",
        "ipyleaflet [extra]==0.20 ; python_version > '3.9'",
        "pkg @ git+https://example.org/x.git@v1#egg=pkg",
        "last",
    ]


def test_included_files_are_read_and_constraints_stay_constraints() -> None:
    top = "-r more.txt\n--constraint=pins.txt\n-cpins.txt\nrasterio\n"
    asked = found(top=top, more="xarray\nrasterio\n", pins="numpy==2.3\n")
    assert asked == (["xarray", "rasterio"], ["numpy==2.3"])


def test_an_index_and_pips_harmless_options_pass() -> None:
    lines = [
        "--extra-index-url https://download.example.org/whl/cpu",
        "--pre",
        "--only-binary=:all:",
        "git+https://git@example.org/a/b.git",
        "https://example.org/pkg-1-py3-none-any.whl",
    ]
    assert found(top="\n".join(lines))[0] == lines


REFUSED = {
    "-e .": "no such folder",
    "./mine": "no such file",
    "../pkg.whl": "no such file",
    "wheels/pkg-1-py3-none-any.whl": "no such file",
    "pkg @ file:///home/me/pkg": "no such file",
    "git+ssh://git@example.org/a.git": "no key of yours",
    "https://me:secret@example.org/a.whl": "password",
    "git+https://ghp_token@example.org/a.git": "password",
    "--index-url https://${TOKEN}@example.org/simple": "variable of this computer",
    "--trusted-host example.org": "certificates are always checked",
    "--index-url http://example.org/simple": "use https://",
    "pkg @ http://example.org/pkg.tar.gz": "use https://",
    "numpy==2 --hash=sha256:00": "hashes",
    "--require-hashes": "option",
    "numpy=2": "not a requirement",
    "my package": "not a requirement",
}


@pytest.mark.parametrize(("line", "why"), REFUSED.items())
def test_what_another_machine_can_not_do_is_refused_with_its_line_and_reason(
    line: str, why: str
) -> None:
    with pytest.raises(ValueError, match=r"^top\.txt, line 2: ") as caught:
        found(top=f"numpy\n{line}\n")
    assert why in str(caught.value)
    with pytest.raises(ValueError):
        check(line)


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(ValueError) as caught:
        found(top="-e .\n-r more.txt\n-r gone.txt\n-r top.txt\n", more="\n\n./here\n")
    told = str(caught.value).splitlines()
    assert [line.split(":")[0] for line in told] == [
        "top.txt, line 1",
        "more.txt, line 3",
        "gone.txt can't be read",
        "top.txt, line 4",
    ]
