#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""circles.py: no circle of includes over more than two files.

A part is a source and its header: user/base/log.c and .h are one. Two parts may include each other (one that was too
long for a file, most often); three in a circle can only be understood together. Prints each circle, shortest first.
"""
import collections
import os
import re
import subprocess
import sys

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
INCLUDE = re.compile(r'^\s*#\s*include\s*"(.*?)"', re.M)


def read_parts():
    uses = collections.defaultdict(set)
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "user/*.[ch]", "policy/*.[ch]"],
                            check=True, capture_output=True, text=True).stdout
    for path in filter(os.path.exists, listed.split()):
        for name in INCLUDE.findall(open(path).read()):
            for header in (os.path.join(os.path.dirname(path), name), name):
                if os.path.exists(header):
                    uses[path[:-2]].add(os.path.normpath(header)[:-2])
                    break
        uses[path[:-2]].discard(path[:-2])
    return uses


def find_way(uses, start, end):
    """The shortest way from start to end that is longer than one step."""
    came = {start: None}
    queue = collections.deque([start])
    while queue:
        at = queue.popleft()
        for part in sorted(uses.get(at, ())):
            if part in came or (at == start and part == end):
                continue
            came[part] = at
            if part == end:
                way = []
                while part:
                    way.append(part)
                    part = came[part]
                return way[::-1]
            queue.append(part)
    return None


def main():
    uses = read_parts()
    circles = set()
    for part in sorted(uses):
        for other in sorted(uses[part]):
            way = find_way(uses, other, part)
            if way:
                least = way.index(min(way))
                circles.add(tuple(way[least:] + way[:least]))
    for circle in sorted(circles, key=lambda c: (len(c), c)):
        print("a circle of includes: " + " -> ".join(circle + circle[:1]))
    return bool(circles)


sys.exit(main())
