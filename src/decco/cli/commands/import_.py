"""``decco import``: Spaces and Apps from objects of the first decco, or from Ingresses, Services and Deployments."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from decco.api.formats import DNS_LABEL, DNS_NAME, OBJECT_NAME
from decco.cli.arguments import add_choice, add_cluster, connection_to
from decco.errors import ConfigError
from decco.importing.convert import convert, is_of_first_decco
from decco.importing.fields import Level, Source
from decco.importing.namespace.inventory import is_ordinary
from decco.importing.namespace.proposal import propose
from decco.importing.output import join, left_out, lines, yaml_files
from decco.importing.read import STDIN, read_objects
from decco.importing.result import Imported, Result
from decco.objects import Obj

EXIT_DONE = 0
EXIT_LOST = 1
FIRST_PORT = "first-port"

_EPILOG = """\
Spaces and Apps of the first decco are converted (docs/operations/from-the-first-decco.md). Without any, a Space and
Apps are proposed for Ingresses, Services, Deployments, StatefulSets and Jobs, with their PodDisruptionBudgets and
HorizontalPodAutoscalers (docs/operations/from-ingress-nginx.md).

The YAML of the new objects goes to standard output, what is to be known about them to standard error and, as comments,
into the YAML. Nothing is written to a cluster. Secrets are not read.

exit status:
  0  everything has a counterpart
  1  something has none: a field was lost or an object left out; all the rest was converted
  2  the command line is wrong, or a file cannot be read as YAML of objects: nothing was converted
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("files", nargs="*", metavar="FILE", help='YAML or JSON, also lists; "-" is standard input')
    parser.add_argument("--from-namespace", metavar="NAME", help="read this namespace of the cluster instead of files")
    parser.add_argument("-o", "--output", metavar="FOLDER", type=Path, help="write files there, in the order to apply")
    parser.add_argument("-n", "--namespace", metavar="SPACE", help="namespace of objects that name none")
    parser.add_argument("--domain", metavar="DOMAIN", help="domainName of Spaces that name none")
    parser.add_argument("--space", metavar="SPACE", help="name of the proposed Space; default: that of the namespace")
    add_choice(
        parser,
        "--absent-endpoints",
        choices=(FIRST_PORT, "none"),
        metavar="READING",
        default=FIRST_PORT,
        help="what an App without endpoints serves: first-port, the first container's first port, as before 2018 "
        "(default), or none, as later versions of the first decco read it",
    )
    add_cluster(parser)


def run(arguments: argparse.Namespace) -> int:
    for flag, form in (
        ("namespace", DNS_LABEL),
        ("from_namespace", DNS_LABEL),
        ("space", OBJECT_NAME),
        ("domain", DNS_NAME),
    ):
        value = getattr(arguments, flag)
        if value is not None and not form.matches(value):
            raise ConfigError(f"--{flag.replace('_', '-')} {form.message}")
    given = _given(arguments)
    if not is_of_first_decco(given) and any(is_ordinary(obj) for _, obj in given):
        result = propose(given, space=arguments.space, domain=arguments.domain, namespace=arguments.namespace)
    elif arguments.space is not None:
        raise ConfigError(
            "--space is for a proposal from Ingresses and Deployments, and the input has "
            f"{'Spaces or Apps of the first decco' if is_of_first_decco(given) else 'none'}: leave it out"
        )
    else:
        result = convert(
            given,
            domain=arguments.domain,
            namespace=arguments.namespace,
            serve_first_port=arguments.absent_endpoints == FIRST_PORT,
        )
    if arguments.output is None:
        sys.stdout.write(join(yaml_files(result).values()) + left_out(result))
    else:
        _write(arguments.output, result)
    for line in lines(result):
        print(f"decco import: {line}", file=sys.stderr)
    print(f"decco import: {_summary(result)}", file=sys.stderr)
    return EXIT_DONE if all(imported.complete for imported in result.all) else EXIT_LOST


def _given(arguments: argparse.Namespace) -> list[tuple[Source, Obj]]:
    if arguments.from_namespace is not None:
        if arguments.files:
            raise ConfigError("--from-namespace reads a cluster, and files are named too: leave one of the two out")
        return asyncio.run(_of_cluster(arguments))
    if not arguments.files:
        raise ConfigError(
            "there is nothing to import: name a FILE, - for standard input, or a namespace with --from-namespace"
        )
    given = [each for name in arguments.files for each in read_objects(name, sys.stdin)]
    if not given:
        raise ConfigError(
            f"there is no object in {', '.join(name for name in arguments.files if name != STDIN) or 'it'}"
        )
    return given


async def _of_cluster(arguments: argparse.Namespace) -> list[tuple[Source, Obj]]:
    from decco.importing.live import read_namespace

    async with connection_to(arguments.kubeconfig, arguments.context) as client:
        return await read_namespace(client, arguments.from_namespace)


def _write(folder: Path, result: Result) -> None:
    contents = {**yaml_files(result), "left-out.txt": left_out(result)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            if content:
                with (folder / name).open("x", encoding="utf-8") as file:
                    file.write(content)
    except FileExistsError as error:
        raise ConfigError(f"{error.filename} is there already: name another folder with --output") from error
    except OSError as error:
        raise ConfigError(f"cannot write to {folder} ({error.strerror}): name another folder with --output") from error


def _summary(result: Result) -> str:
    def made(imported: list[Imported]) -> int:
        return sum(each.obj is not None for each in imported)

    levels = [remark.level for imported in result.all for remark in imported.remarks]
    absent = sum(any(each.level is Level.ERROR for each in imported.remarks) for imported in result.all)
    return (
        f"{made(result.spaces)} of {len(result.spaces)} Spaces and {made(result.apps)} of {len(result.apps)} Apps "
        "converted; "
        f"without a counterpart: {levels.count(Level.LOST)}, with errors: {absent}"
    )
