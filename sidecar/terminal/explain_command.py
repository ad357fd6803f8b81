"""`sidecar explain`: where would this call go? Asks a running sidecar, or reads a file alone."""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from contextlib import suppress

import msgspec

from sidecar.calls import ask
from sidecar.calls.style import BOLD, Style
from sidecar.config.load import ConfigErrors, Written
from sidecar.control.explain import from_file
from sidecar.control.explain.answer import Explained
from sidecar.control.explain.question import Question, headers_of
from sidecar.control.sources.opened import BadSource, read_once

_WIDEST = 100
_BEFORE_UNIT = re.compile(r"(?<=\d) (?=m?s\b)")
"""A line does not end between a number and its unit."""
_EXAMPLES = """examples:
  sidecar explain --model gpt-4o                      ask the running sidecar
  sidecar explain -c sidecar.yaml --model gpt-4o      read a file; its secrets need not be there
  sidecar explain --path /v1/embeddings --header 'x-team: search' --body '{"model": "e5"}'
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `sidecar explain`."""
    parser.description = (
        "Tell where a call would go: its route, and why not another; policy, upstreams, "
        "endpoints, model and key. No call is made."
    )
    parser.epilog = _EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "-c",
        "--config",
        action="append",
        default=[],
        metavar="SOURCE",
        help="read this file or URL, as `sidecar run` would, and ask no sidecar",
    )
    ask.add_admin(parser)
    call = parser.add_argument_group("the call")
    call.add_argument("--method", default="POST", help="default: %(default)s")
    call.add_argument("--host", help="Host header (default: the listener's address)")
    call.add_argument("--path", default="/v1/chat/completions", help="default: %(default)s")
    call.add_argument(
        "--header", action="append", default=[], metavar="'NAME: VALUE'", help="may be repeated"
    )
    body = call.add_mutually_exclusive_group()
    body.add_argument("--model", metavar="NAME", help="model that the body names")
    body.add_argument("--body", metavar="JSON", help="the whole body")
    call.add_argument("--listener", metavar="ADDRESS", help="where it arrives (default: the first)")
    ask.add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the answer. 0 if the call would be sent on or answered, else 1; 2 for wrong usage."""
    try:
        answer = _answer(arguments, _question(arguments))
    except ConfigErrors as errors:
        print(errors, file=sys.stderr)
        return 1
    except (ask.Unanswered, BadSource, ValueError) as error:
        print(f"sidecar explain: {error}", file=sys.stderr)
        return 1 if isinstance(error, ask.Unanswered) else 2
    except OSError as error:
        names = ", ".join(arguments.config)
        print(f"sidecar explain: can't read {names}: {error.strerror}", file=sys.stderr)
        return 1
    try:
        if ask.wants_json(arguments):
            print(msgspec.json.format(msgspec.json.encode(answer)).decode())
        else:
            print(lines(answer, min(ask.columns(), _WIDEST), ask.style()))
        sys.stdout.flush()
    except BrokenPipeError:
        ask.give_up()
    return 1 if answer.outcome == "refused" else 0


def _question(arguments: argparse.Namespace) -> Question:
    body = arguments.body
    if body is not None:
        with suppress(msgspec.DecodeError):  # else it is sent as it is
            body = msgspec.json.decode(body)
    return Question(
        arguments.method,
        arguments.path,
        arguments.host,
        headers_of(arguments.header),
        arguments.model,
        body,
        arguments.listener,
    )


def _answer(arguments: argparse.Namespace, question: Question) -> Explained:
    if arguments.config:
        texts = [Written(*read_once(place)) for place in arguments.config]
        return from_file.explain(question, from_file.read(texts))
    text = ask.get(arguments.admin, "/explain", msgspec.to_builtins(question))
    return msgspec.json.decode(text, type=Explained)


def lines(answer: Explained, columns: int, style: Style) -> str:
    """Show *answer* in so many columns: a sentence a paragraph, the first one stands out."""
    shown = []
    for number, sentence in enumerate(answer.sentences):
        told = _BEFORE_UNIT.sub("\N{NO-BREAK SPACE}", style.told(sentence))
        wrapped = textwrap.wrap(
            told, columns, subsequent_indent="  ", break_long_words=True, break_on_hyphens=False
        )
        wrapped = [line.replace("\N{NO-BREAK SPACE}", " ") for line in wrapped]
        shown += [style.paint(line, BOLD) for line in wrapped] if number == 0 else wrapped
    return "\n".join(shown)
