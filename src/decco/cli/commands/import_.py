"""``decco import``: converts Spaces and Apps of the first decco to objects of this version."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from decco.api.formats import DNS_LABEL, DNS_NAME
from decco.cli.arguments import add_choice
from decco.errors import ConfigError
from decco.importing.convert import Imported, Result, convert
from decco.importing.fields import Level
from decco.importing.output import join, left_out, lines, yaml_files
from decco.importing.read import STDIN, read_objects

EXIT_DONE = 0
EXIT_LOST = 1
FIRST_PORT = "first-port"

_EPILOG = """\
The YAML of the new objects goes to standard output, what is to be known about them to standard error and, as comments,
into the YAML. Nothing is sent to a cluster. See docs/operations/from-the-first-decco.md.

exit status:
  0  everything has a counterpart
  1  something has none: a field was lost or an object left out; all the rest was converted
  2  the command line is wrong, or a file cannot be read as YAML of objects: nothing was converted
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("files", nargs="+", metavar="FILE", help='YAML or JSON, also lists; "-" is standard input')
    parser.add_argument("-o", "--output", metavar="FOLDER", type=Path, help="write files there, in the order to apply")
    parser.add_argument("-n", "--namespace", metavar="SPACE", help="namespace of Apps that name none")
    parser.add_argument("--domain", metavar="DOMAIN", help="domainName of Spaces that name none")
    add_choice(
        parser,
        "--absent-endpoints",
        choices=(FIRST_PORT, "none"),
        metavar="READING",
        default=FIRST_PORT,
        help="what an App without endpoints serves: first-port, the first container's first port, as before 2018 "
        "(default), or none, as later versions of the first decco read it",
    )


def run(arguments: argparse.Namespace) -> int:
    if arguments.namespace is not None and not DNS_LABEL.matches(arguments.namespace):
        raise ConfigError(f"--namespace {DNS_LABEL.message}")
    if arguments.domain is not None and not DNS_NAME.matches(arguments.domain):
        raise ConfigError(f"--domain {DNS_NAME.message}")
    given = [each for name in arguments.files for each in read_objects(name, sys.stdin)]
    if not given:
        raise ConfigError(
            f"there is no object in {', '.join(name for name in arguments.files if name != STDIN) or 'it'}"
        )
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
