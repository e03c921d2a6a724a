"""Images around one static Go program: our pause and echo, and any other that is built elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from testbed import golang, packages
from testbed.found import AssetsMissing
from testbed.images import oci
from testbed.images.debian import authorities
from testbed.images.shelf import HERE, Image, provide

BIN = "usr/local/bin"
MODULE_FILES = ("go.mod", "go.sum", "*.go")
EXAMPLES_IMAGE = "docker.io/library/busybox:1.37"
PAUSE_USER = "65535:65535"
"""That of Kubernetes' own pause image."""

CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
"""Where Go's crypto/x509 and Envoy Gateway's configuration look first for the authorities of the Web."""


def pause() -> Image:
    """The sandbox of each pod: holds its namespaces, and waits for processes whose parents have left them.

    Raises:
        AssetsMissing: there is no Go.
    """
    return _own("pause", oci.Config(entrypoint=["/pause"], user=PAUSE_USER), "pause")


def echo(edition: str = "1") -> Image:
    """The app of the end-to-end tests, see echo/main.go.

    Args:
        edition: what it says its edition is; another one is another image, for rolling changes.

    Raises:
        AssetsMissing: there is no Go, or its modules cannot be downloaded.
    """
    config = oci.Config(entrypoint=["/echo"], cmd=["serve", "--listen", "http:8080"], env={"ECHO_EDITION": edition})
    return _own("echo", config, "echo")


def busybox() -> Image:
    """The pods of ``decco verify``: a static busybox as a shell, which has the other programs in itself.

    Raises:
        AssetsMissing: there is none.
    """
    binary, layer = _shell()
    return provide("busybox", oci.Config(entrypoint=["/bin/sh"]), [binary], lambda _: [layer])


def _shell() -> tuple[Path, oci.Layer]:
    """Debian's static busybox, and the files of an image whose shell it is."""
    binary = packages.path_of("busybox")
    if binary is None:
        raise AssetsMissing("busybox is missing: install the package busybox-static")
    return binary, {"tmp": oci.folder(0o1777), "bin/sh": oci.program(binary), "bin/busybox": oci.program(binary)}


def of_examples() -> Image:
    """``busybox:1.37``, which the examples and the tutorial name, for nodes that cannot pull it: Debian's busybox.

    Raises:
        AssetsMissing: there is none.
    """
    binary, layer = _shell()
    layer = {**layer, **{f"bin/{name}": oci.program(text.encode()) for name, text in _applets().items()}}
    config = oci.Config(entrypoint=["/bin/sh"])
    return provide("examples", config, [Path(__file__), binary], lambda _: [layer], EXAMPLES_IMAGE)


def _applets() -> dict[str, str]:
    plain = {name: f'#!/bin/sh\nexec busybox {name} "$@"\n' for name in ("cat", "httpd", "sleep", "wget")}
    # 1.37 says -lk where Debian's says -ll: listen, and go on after a connection.
    return {**plain, "nc": '#!/bin/sh\nif [ "$1" = -lk ]; then shift; set -- -ll "$@"; fi\nexec busybox nc "$@"\n'}


def go_program(
    name: str,
    binary: Path,
    *,
    cmd: Sequence[str] = (),
    user: str = oci.NONROOT,
    env: Mapping[str, str] | None = None,
    files: oci.Layer | None = None,
) -> Image:
    """An image with one static binary that is there, as /usr/local/bin/<name>: on the PATH, and the entry point.

    Beside it are the authorities of the Web and a /tmp that any user may write.

    Args:
        name: of the image and of the program in it.
        binary: the program; it must not need libraries.
        cmd: arguments where a pod gives none.
        user: who runs it where a pod does not say.
        env: environment variables of the image.
        files: what else is in the image.

    Raises:
        AssetsMissing: the machine has no authorities of the Web.
    """
    extra = files or {}
    config = oci.Config(entrypoint=[f"/{BIN}/{name}"], cmd=cmd, user=user, env=env or {})
    certificates = authorities()
    base: oci.Layer = {
        "tmp": oci.folder(0o1777),
        CERTIFICATES: oci.file(certificates),
        **extra,
    }
    ingredients: list[str | bytes | Path] = [Path(__file__), binary, certificates]
    for path, entry in sorted(extra.items()):
        ingredients += [path, str(entry.mode), b"" if entry.content is None else entry.content]
    return provide(name, config, ingredients, lambda _: [base, {f"{BIN}/{name}": oci.program(binary)}])


def build(module: str, target: Path) -> None:
    """Builds the program of a folder beside this file, ``pause`` or ``echo``.

    Raises:
        GoFailed: see the class.
    """
    golang.build(HERE / module, ".", target)


def _own(name: str, config: oci.Config, module: str) -> Image:
    def layers(scratch: Path) -> list[oci.Layer]:
        build(module, scratch / name)
        return [{"tmp": oci.folder(0o1777), name: oci.program(scratch / name)}]

    sources = sorted(path for pattern in MODULE_FILES for path in (HERE / module).glob(pattern))
    named = [piece for path in sources for piece in (path.name, path)]
    return provide(name, config, [Path(__file__), _compiler(), *named], layers)


def _compiler() -> str:
    try:
        return golang.go(["env", "GOVERSION"], HERE)
    except golang.GoFailed as error:
        raise AssetsMissing(f"the testbed's own images cannot be made: {error}") from error
