"""Who can reach the cluster: whether its dashboard asks for the token, and where it listens."""

from ipaddress import ip_address
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from raycalib.doctor.check import Check

REFUSED = (401, 403)
WITHIN_S = 10
PATH = "/api/jobs/"
HOW = "start it with RAY_AUTH_MODE=token in the environment of every node (cluster/README.md)"


def token_check(dashboard: str) -> Check:
    """Whether whoever reaches the dashboard may submit jobs without the token.

    Args:
        dashboard: its HOST:PORT; empty where there is none.
    """
    if not dashboard:
        return Check.fault(
            name="token",
            found="the head has no dashboard, so that jobs cannot be submitted and Ray Train cannot clean up",
            remedy="start the head with one: --include-dashboard=true --dashboard-host=127.0.0.1",
        )
    try:
        with urlopen(Request(f"http://{dashboard}{PATH}"), timeout=WITHIN_S) as answer:  # http alone
            said = int(answer.status)
    except HTTPError as error:
        said = error.code
    except (URLError, OSError) as error:
        return Check.fault(
            name="token",
            found=f"the dashboard at {dashboard} does not answer ({error})",
            remedy="restart the head",
        )
    if said in REFUSED:
        return Check(name="token", found=f"the dashboard at {dashboard} refuses who has none")
    return Check.fault(
        name="token",
        found=f"the dashboard at {dashboard} lets in who has none (status {said})",
        remedy=HOW,
    )


def port_check(dashboard: str, addresses: list[str], asks_for_token: bool) -> Check:
    """Whether something listens where the world may be.

    Args:
        dashboard: its HOST:PORT.
        addresses: of the nodes, where Ray's other ports are.
        asks_for_token: the dashboard does.
    """
    public = [address for address in addresses if _is_public(address)]
    if public:
        return Check.fault(
            name="ports",
            found=f"nodes have addresses of the open network: {', '.join(public)}",
            remedy="use addresses inside (--node-ip-address), and let nothing in but a tunnel",
        )
    host = dashboard.rpartition(":")[0].strip("[]")
    if host and not _is_loopback(host) and not asks_for_token:
        return Check.fault(
            name="ports",
            found=f"the dashboard listens at {host}, without a token",
            remedy="start the head with --dashboard-host=127.0.0.1 and go there by a tunnel",
        )
    where = "on loopback" if _is_loopback(host) else f"at {host or 'nowhere'}, inside, with the token"
    return Check(name="ports", found=f"the dashboard listens {where}; nodes have addresses inside")


def _is_public(address: str) -> bool:
    try:
        return ip_address(address).is_global
    except ValueError:
        return False


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
