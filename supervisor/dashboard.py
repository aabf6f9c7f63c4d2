#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes dashboard.c of dashboard.html: its bytes, and a policy by which nothing but its own script and style runs."""
import base64
import hashlib
import re
import sys


def digests(kind, page):
    parts = re.findall(rb"<%s>(.*?)</%s>" % (kind, kind), page, re.S)
    assert len(parts) == 1, kind
    return "'sha256-" + base64.b64encode(hashlib.sha256(parts[0]).digest()).decode() + "'"


page = open(sys.argv[1], "rb").read()
policy = (f"default-src 'none'; script-src {digests(b'script', page)}; style-src {digests(b'style', page)}; connect-src 'self'; "
          "base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
bytes_ = ",".join(str(byte) for byte in page)
print(f"""/* SPDX-License-Identifier: MIT */
#include "supervisor/dashboard.h"

const char mf_dashboard_policy[] = "{policy}";
const char mf_dashboard[] = {{{bytes_}}};
const size_t mf_dashboard_bytes = sizeof(mf_dashboard);""")
