"""A prober as small monitors are written in Python: asyncio streams, a fresh connection a check, a
regular expression on the body, a JSON event on the standard output. bench/run measures beside it.

    asyncio_prober.py URL-PREFIX SITES      each site once a second, spread over the second
"""

import asyncio
import json
import re
import sys
import time
import urllib.parse

PATTERN = re.compile(rb"v=(\d+)")


async def check(host, port, target):
    started = time.monotonic()
    reader, writer = await asyncio.open_connection(host, port)
    connected = time.monotonic()
    writer.write(f"GET {target} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n"
                 .encode())
    head, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
    writer.close()
    ended = time.monotonic()
    found = PATTERN.findall(body)
    print(json.dumps({"url": target, "time": time.time(), "status": int(head.split()[1]),
                      "connect_us": int((connected - started) * 1e6),
                      "total_us": int((ended - started) * 1e6), "body_bytes": len(body),
                      "matches": [match.decode() for match in found]}))


async def site(host, port, target, offset):
    due = time.monotonic() + offset
    while True:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        await check(host, port, target)
        due += 1.0


async def main(prefix, count):
    url = urllib.parse.urlsplit(prefix)
    await asyncio.gather(*(site(url.hostname, url.port, f"{url.path}?{url.query}{i}", i / count)
                           for i in range(count)))


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
