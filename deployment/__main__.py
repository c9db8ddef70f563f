"""``make deploy``: estimate, preflight, question, and then the CDK's command line on the very templates looked at."""

import argparse
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from deployment.estimate import report as estimate_report
from deployment.estimate.calculation import calculate
from deployment.estimate.prices import EstimateError, load
from deployment.gate import Gate, Wishes
from deployment.preflight.account import Account, CredentialsError, UnansweredError, from_environment
from deployment.preflight.delegation import PublicDns
from deployment.preflight.plan import Scope, caller, checks_for
from deployment.preflight.results import Result
from deployment.preflight.running import run
from deployment.preflight.zones import hosted_servers, public_zones
from deployment.rollout import Rollout, RolloutError, fingerprint, read
from stacks.settings import ROOT

CDK = ROOT / "node_modules" / ".bin" / "cdk"
_USAGE = 2
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0 deployed, 1 not deployed or failed, 2 nothing could be begun."""
    parser = argparse.ArgumentParser(prog="make deploy", description=__doc__)
    parser.add_argument("--env", required=True)
    parser.add_argument("--region", help="only this region and the global stacks it needs")
    parser.add_argument("--templates", type=Path, default=ROOT / "cdk.out")
    parser.add_argument("--preflight", choices=["skip"], help="PREFLIGHT=skip: deploy unchecked")
    parser.add_argument("--confirm", help="CONFIRM=<environment>: it is meant, nobody needs to be asked")
    chosen = parser.parse_args(arguments)
    interactive = sys.stdin.isatty()
    try:
        seen = fingerprint(chosen.templates)
        rollout = read(chosen.templates, regions=[chosen.region] if chosen.region else [])
        if rollout.settings.environment != chosen.env:
            raise RolloutError(f"{chosen.templates} holds {rollout.settings.environment}, not {chosen.env}.")
        account = from_environment()
        who = caller(account, rollout)
        _say(f"Deploying {chosen.env} in {', '.join(rollout.regions)} to account {who.account}, as {who.arn}\n")
        for line in estimate_report.lines(calculate(rollout, load())):
            _say(line)
        _say("")
        gate = Gate(
            wishes=Wishes(
                region=chosen.region,
                skip_preflight=chosen.preflight == "skip",
                confirm=chosen.confirm,
                interactive=interactive,
            ),
            say=_say,
            ask=input,
            examine=lambda scope, part: _examine(account, scope, part),
            deploy=lambda what: _deploy(what, folder=chosen.templates, seen=seen, interactive=interactive),
            name_servers=lambda part: _name_servers(account, part),
        )
        return gate.run(rollout)
    except (CredentialsError, EstimateError, RolloutError, UnansweredError) as error:
        sys.stderr.write(f"{error}\nNothing was deployed.\n")
        return _USAGE
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted.\n")
        return _INTERRUPTED
    except EOFError:
        sys.stderr.write("\nNothing was answered, so nothing was deployed.\n")
        return 1


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _examine(account: Account, scope: Scope, rollout: Rollout) -> list[Result]:
    checks = checks_for(scope, account, rollout, PublicDns())
    if not sys.stderr.isatty():
        return run(checks)

    def progress(made: int, total: int) -> None:
        sys.stderr.write(f"\rChecking … {made}/{total}" + ("\r\033[K" if made == total else ""))
        sys.stderr.flush()

    return run(checks, progress=progress)


def _name_servers(account: Account, rollout: Rollout) -> Mapping[str, Sequence[str]] | None:
    found: dict[str, Sequence[str]] = {}
    for zone in public_zones(rollout):
        servers = hosted_servers(account, zone)
        if servers is None:
            return None
        found[str(zone.get("Name"))] = sorted(servers)
    return found


def _deploy(what: Sequence[str], *, folder: Path, seen: str, interactive: bool) -> int:
    if fingerprint(folder) != seen:  # another environment's, perhaps, which nobody was asked about
        raise RolloutError(f"{folder} was synthesized anew since it was looked at; deploy again.")
    command = [str(CDK), "deploy", "--no-notices", "--app", str(folder), *what]
    if not interactive:
        command += ["--require-approval", "never"]  # the gate has asked; the CDK would find nobody either
    return subprocess.run(command, cwd=ROOT, check=False).returncode  # noqa: S603 - the pinned CDK


if __name__ == "__main__":
    sys.exit(main())
