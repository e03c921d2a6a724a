"""Dockerfiles are read as far as ours go, and anything else is an error and not passed over; COPY without an engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed import bareroot
from testbed.dockerfile import Copy, Run, parse
from testbed.images.recipe import config_of

CHECKOUT = Path(bareroot.__file__).resolve().parent.parent

EXAMPLE = """\
# A comment, and an argument before all stages.
ARG BASE=debian:stable
FROM ${BASE} AS build
ARG EPOCH=0
ENV LANG=C NAME="two words"
RUN one \\
 && two
COPY a b /in/
USER 65532:65532
RUN ["/bin/three", "four five"]

FROM scratch
COPY --from=build /out /
LABEL title="a title" \\
      other=b
EXPOSE 8080 53/udp
USER 1:2
HEALTHCHECK --interval=1s --retries=2 CMD ["/ok"]
ENTRYPOINT ["/entry"]
CMD ["--flag"]
"""


def test_stages_steps_and_configuration() -> None:
    build, image = parse(EXAMPLE, {"EPOCH": "7"})
    variables = {"EPOCH": "7", "LANG": "C", "NAME": "two words"}
    assert (build.name, build.base) == ("build", "debian:stable")
    assert build.steps == [
        Run(("/bin/sh", "-c", "one   && two"), "0", variables),
        Copy(("a", "b"), "/in/", None),
        Run(("/bin/three", "four five"), "65532:65532", variables),
    ]
    assert image.steps == [Copy(("/out",), "/", "build")]
    assert (image.base, image.user, image.entrypoint, image.cmd) == ("scratch", "1:2", ("/entry",), ("--flag",))
    assert (image.healthcheck, image.ports) == (("/ok",), ["8080/tcp", "53/udp"])
    assert image.labels == {"title": "a title", "other": "b"}


def test_a_base_can_be_chosen() -> None:
    assert parse(EXAMPLE, {"BASE": "debian@sha256:1"})[0].base == "debian@sha256:1"


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "RUN early",
        "FROM a b c",
        "FROM a\nADD x /y",
        "FROM a\nCOPY x relative",
        "FROM a\nCOPY --chown=1 x /y",
        "FROM a\nENTRYPOINT in a shell",
    ],
)
def test_what_is_not_known_is_an_error(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"not known here|no FROM|before the first|absolute target|list of words"):
        parse(wrong)


@pytest.mark.parametrize("path", ["Dockerfile", "images/stunnel/Dockerfile"])
def test_our_images_run_as_nobody_and_start_by_a_path(path: str) -> None:
    config = config_of((CHECKOUT / path).read_text())
    assert config.user == "65532:65532"
    assert config.entrypoint[0].startswith("/")
    assert parse((CHECKOUT / path).read_text())[0].arguments["SOURCE_DATE_EPOCH"] == "0"


def test_an_image_from_another_image_is_not_taken_for_ours() -> None:
    with pytest.raises(ValueError, match="not FROM scratch"):
        config_of("FROM debian\nUSER 1:1\n")


def test_copy(tmp_path: Path) -> None:
    context, root = tmp_path / "context", tmp_path / "root"
    (context / "folder" / "sub").mkdir(parents=True)
    (context / "folder" / "sub" / "x").write_text("x")
    (context / "y").write_text("y")
    bareroot.copy(Copy(("folder",), "/into", None), context, root)
    bareroot.copy(Copy(("y",), "/renamed/z", None), context, root)
    bareroot.copy(Copy(("y", "folder/sub/x"), "/both/", None), context, root)
    found = {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}
    assert found == {"into/sub/x": "x", "renamed/z": "y", "both/y": "y", "both/x": "x"}


def test_a_step_that_fails_says_what_it_printed() -> None:
    with pytest.raises(bareroot.StepFailed, match=r"ended with status 3:\nnot like this"):
        bareroot._ended_well(["/bin/sh", "-c", "echo not like this; exit 3"])
