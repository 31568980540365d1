"""Ports on loopback that stay free for a server while it is down."""
import contextlib
import random
import socket

# Below net.ipv4.ip_local_port_range. A port inside it could be the source port of any connection while its server is
# down, and a client that knocks at it again and again would sooner or later be given it and connect to itself.
FIRST, LAST = 16000, 32000


def free_port(kind=socket.SOCK_STREAM):
    """A port that nobody has now. Another process may take it until it is bound, so who binds it tries again."""
    for _ in range(200):
        port = random.randint(FIRST, LAST)
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, kind) as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError(f"no free port from {FIRST} to {LAST} on loopback")


def answers(port, timeout=0.5):
    """Whether something accepts connections there."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout):
            return True
    except OSError:
        return False
