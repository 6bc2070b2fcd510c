"""A prober as small monitors are written in Python: asyncio streams, a fresh connection a check, a
regular expression on the body, a JSON event on the standard output.

    asyncio_prober.py URL-PREFIX SITES SECONDS PATTERN

checks URL-PREFIX0, URL-PREFIX1, ... each once in so many seconds, spread over them.
"""

import asyncio
import json
import re
import sys
import time
import urllib.parse


async def check(host, port, target, pattern):
    started = time.monotonic()
    reader, writer = await asyncio.open_connection(host, port)
    connected = time.monotonic()
    writer.write(f"GET {target} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n"
                 .encode())
    head, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
    writer.close()
    ended = time.monotonic()
    found = pattern.findall(body)
    print(json.dumps({"url": target, "time": time.time(), "status": int(head.split()[1]),
                      "connect_us": int((connected - started) * 1e6),
                      "total_us": int((ended - started) * 1e6), "body_bytes": len(body),
                      "matches": [match.decode() for match in found]}))


async def site(host, port, target, offset, interval, pattern):
    due = time.monotonic() + offset
    while True:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        await check(host, port, target, pattern)
        due += interval


async def main(prefix, count, interval, pattern):
    url = urllib.parse.urlsplit(prefix)
    await asyncio.gather(*(site(url.hostname, url.port, f"{url.path}{i}", interval * i / count,
                                interval, pattern) for i in range(count)))


asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]),
                 re.compile(sys.argv[4].encode())))
