# SPDX-License-Identifier: BSD-2-Clause
"""cloud.py KIND ADDRESS PUBLIC: what a cloud tells a machine of its public address.

KIND: aws (a token first), google, azure: the metadata service on ADDRESS, port 80; stun: a STUN server on port 3478,
which says PUBLIC whoever asks.
"""
import http.server
import ipaddress
import socket
import struct
import sys

KIND, ADDRESS, PUBLIC = sys.argv[1:]
WANTED = {  # method, path, a header and its value -> answer
    "aws": {("PUT", "/latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds", "60"): "a-token",
            ("GET", "/latest/meta-data/public-ipv4", "X-aws-ec2-metadata-token", "a-token"): PUBLIC},
    "google": {("GET", "/computeMetadata/v1/instance/network-interfaces/0/access-configs/0/external-ip",
                "Metadata-Flavor", "Google"): PUBLIC},
    "azure": {("GET", "/metadata/instance/network/interface/0/ipv4/ipAddress/0/publicIpAddress"
               "?api-version=2021-02-01&format=text", "Metadata", "true"): PUBLIC},
}


class Metadata(http.server.BaseHTTPRequestHandler):
    def answer(self):
        found = [text for (method, path, name, value), text in WANTED[KIND].items()
                 if (method, path, value) == (self.command, self.path, self.headers.get(name))]
        body = (found[0] if found else "no such thing").encode()
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = answer


def stun():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((ADDRESS, 3478))
        print("ready", flush=True)
        while True:
            request, sender = server.recvfrom(2048)
            cookie, seen = 0x2112A442, int(ipaddress.IPv4Address(PUBLIC))
            attribute = struct.pack("!HHBBHI", 0x0020, 8, 0, 1, 51820 ^ cookie >> 16, seen ^ cookie)
            server.sendto(struct.pack("!HH", 0x0101, len(attribute)) + request[4:20] + attribute, sender)


if KIND == "stun":
    stun()
with http.server.ThreadingHTTPServer((ADDRESS, 80), Metadata) as httpd:
    print("ready", flush=True)
    httpd.serve_forever()
