"""Ports that are chosen before they are bound."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from workbench.adapters import processes


@pytest.mark.parametrize("outgoing", ["32768\t60999\n", "1024\t65535\n", "20003\t60999\n", None])
def test_free_ports_can_be_bound_wherever_outgoing_connections_begin(
    outgoing: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as asked for, all different, and below the outgoing ones where there is room."""
    monkeypatch.setattr(processes, "OUTGOING", tmp_path / "range")
    if outgoing is not None:
        (tmp_path / "range").write_text(outgoing)

    ports = processes.free_ports(9)

    assert len(set(ports)) == 9
    for port in ports:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
    if outgoing is not None and outgoing.startswith("32768"):
        assert all(processes.FIRST_PORT <= port < 32768 for port in ports)


def test_a_port_that_is_taken_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process listens on it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr(processes, "_listening_ports", lambda: [port])

        assert port not in processes.free_ports(2)
