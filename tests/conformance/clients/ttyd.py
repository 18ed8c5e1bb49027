"""PyPI's ttyd-client as its command line runs it; only the address and the log-in, which are ttyd's own, are ours."""

from __future__ import annotations

import os
import ssl
import sys

import ttyd_cli.client as module

module.authenticate = lambda *_: None
client = module.TTYDClient("http://127.0.0.1")
client.url = os.environ["URL"]
client.header = [each for each in client.header if not each.startswith("Authorization")]
client.header.append(os.environ["HEADER"])
authority = os.environ.get("CA")
client.run_forever(sslopt={"ca_certs": authority, "cert_reqs": ssl.CERT_REQUIRED} if authority else None)
sys.exit(0)
