"""Route 53 as moto plays it: a server process of its own, and a plain synchronous client as the second writer."""

from __future__ import annotations

import shutil
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

import botocore.session

from testbed.dns.server import HOST, Records, free_port
from testbed.processes import Processes

START_SECONDS = 60.0


def moto_server() -> str | None:
    """The program, next to this Python or on the PATH."""
    return shutil.which("moto_server", path=str(Path(sys.executable).parent)) or shutil.which("moto_server")


class MotoServer:
    """``with MotoServer() as moto``: serves at ``moto.url``."""

    def __enter__(self) -> MotoServer:
        program = moto_server()
        if program is None:
            raise FileNotFoundError("moto_server: install the Python package moto[server]")
        port = free_port()
        self.url = f"http://{HOST}:{port}"
        self._processes = Processes(Path(tempfile.mkdtemp(prefix="decco-moto-")))
        try:
            process = self._processes.start("moto", [program, "-H", HOST, "-p", str(port)])
            process.wait_until(self._answers, START_SECONDS)
        except BaseException:
            self._processes.close(0)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._processes.close(0)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/moto-api/", timeout=1):
                return True
        except OSError:
            return False


class Route53Writer:
    """Somebody else who uses the same hosted zones, with botocore itself."""

    def __init__(self, url: str) -> None:
        session = botocore.session.get_session()
        self._client: Any = session.create_client(
            "route53",
            region_name="us-east-1",
            endpoint_url=url,
            aws_access_key_id="test",
            aws_secret_access_key="test",  # a stand-in accepts any
        )

    def create_zone(self, zone: str) -> str:
        made = self._client.create_hosted_zone(Name=zone, CallerReference=zone + str(free_port()))
        return str(made["HostedZone"]["Id"].rpartition("/")[2])

    def remove_zone(self, zone_id: str) -> None:
        doomed = [
            {"Action": "DELETE", "ResourceRecordSet": item}
            for item in self._items(zone_id)
            if item["Type"] not in ("SOA", "NS")
        ]
        for start in range(0, len(doomed), 500):
            self._send(zone_id, doomed[start : start + 500])
        self._client.delete_hosted_zone(Id=zone_id)

    def put(self, zone_id: str, name: str, ttl: int, rtype: str, *values: str) -> None:
        records = [{"Value": value} for value in values]
        item = {"Name": name, "Type": rtype, "TTL": ttl, "ResourceRecords": records}
        self._send(zone_id, [{"Action": "UPSERT", "ResourceRecordSet": item}])

    def drop(self, zone_id: str, name: str, rtype: str) -> None:
        for item in self._items(zone_id):
            if _plain(item["Name"]) == name and item["Type"] == rtype:
                self._send(zone_id, [{"Action": "DELETE", "ResourceRecordSet": item}])

    def read(self, zone_id: str) -> Records:
        return {
            (_plain(item["Name"]), item["Type"]): (
                item["TTL"],
                frozenset(record["Value"] for record in item["ResourceRecords"]),
            )
            for item in self._items(zone_id)
            if item["Type"] not in ("SOA", "NS")
        }

    def _items(self, zone_id: str) -> list[dict[str, Any]]:
        pages = self._client.get_paginator("list_resource_record_sets").paginate(HostedZoneId=zone_id)
        return [item for page in pages for item in page["ResourceRecordSets"]]

    def _send(self, zone_id: str, changes: list[dict[str, Any]]) -> None:
        self._client.change_resource_record_sets(HostedZoneId=zone_id, ChangeBatch={"Changes": changes})


def _plain(name: str) -> str:
    return name.replace("\\052", "*").removesuffix(".").lower()
