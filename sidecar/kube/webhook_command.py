"""`sidecar webhook`: arguments to a webhook that serves until SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

import uvloop

from sidecar.kube.api import SERVICE_ACCOUNT, Api
from sidecar.kube.certificate_source import CertificateFiles, CertificateSource, RotatingCertificate
from sidecar.kube.command import add_settings, settings_of
from sidecar.kube.settings import BadSettings, Settings
from sidecar.kube.webhook import Webhook


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what `sidecar webhook` takes."""
    parser.description = (
        "Answer an API server's reviews of new pods with the sidecar in them, and refuse bad "
        "policies. The certificate is read from --certificates, or made, renewed and kept in "
        "--secret."
    )
    add_settings(parser)
    parser.add_argument(
        "--port", type=int, default=8443, help="port for reviews (default: %(default)s)"
    )
    parser.add_argument(
        "--health-port",
        type=int,
        default=8080,
        help="port of /live, /ready and /metrics (default: %(default)s)",
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--certificates", type=Path, metavar="FOLDER", help="folder with tls.crt and tls.key"
    )
    source.add_argument(
        "--secret", metavar="NAME", help="Secret of this namespace for the certificate; must exist"
    )
    parser.add_argument(
        "--service", metavar="NAME", help="with --secret: the Service that reviews come through"
    )
    parser.add_argument(
        "--configuration", metavar="NAME", help="with --secret: the MutatingWebhookConfiguration"
    )
    parser.add_argument(
        "--validating",
        metavar="NAME",
        help="with --secret: the ValidatingWebhookConfiguration, if policies are reviewed",
    )
    parser.add_argument(
        "--service-account",
        type=Path,
        metavar="FOLDER",
        default=SERVICE_ACCOUNT,
        help="folder with token, CA and namespace (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM; 1 when it can't."""
    try:
        if arguments.secret and not (arguments.service and arguments.configuration):
            raise BadSettings(["--secret needs --service and --configuration"])
        uvloop.run(_serve(arguments, settings_of(arguments)))
    except (BadSettings, OSError) as error:
        sys.stderr.write(f"sidecar webhook: {error}\n")
        return 1
    return 0


async def _serve(arguments: argparse.Namespace, settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    api = Api(arguments.service_account)
    try:
        webhook = Webhook(settings, _source(arguments, api))
        await webhook.run(arguments.port, arguments.health_port, stop)
    finally:
        await api.close()


def _source(arguments: argparse.Namespace, api: Api) -> CertificateSource:
    if arguments.certificates is not None:
        return CertificateFiles(arguments.certificates)
    return RotatingCertificate(
        api,
        service=arguments.service,
        secret=arguments.secret,
        configuration=arguments.configuration,
        validating=arguments.validating,
    )
