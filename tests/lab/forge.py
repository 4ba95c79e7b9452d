#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Packets in somebody else's name.

  send HEX TO              an IP packet, as it is, by the route to TO
  frame DEVICE MAC VLAN HEX
                           the same to a neighbour, in an Ethernet frame, whatever the routes say; VLAN 0: no tag
  tun DEVICE HEX           the same, as if it came in by a tunnel of this host's own making
  complete DEVICE PORT     prints "open"; answers the first SYN ACK that arrives there for PORT, whoever asked for it,
                           and sends a request; then prints "answered"
"""
import fcntl
import ipaddress
import socket
import struct
import subprocess
import sys
import time


def raw(to):
    if ipaddress.ip_address(to).version == 4:
        return socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    return socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)


def send(packet, to):
    with raw(to) as sock:
        sock.sendto(bytes.fromhex(packet), (to, 0))


def frame(device, mac, vlan, packet):
    packet = bytes.fromhex(packet)
    head = bytes.fromhex(mac.replace(":", "")) + bytes.fromhex("020000000bad")
    if int(vlan):
        head += struct.pack("!HH", 0x8100, int(vlan))
    head += struct.pack("!H", 0x0800 if packet[0] >> 4 == 4 else 0x86dd)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind((device, 0))
        sock.send(head + packet)


def tun(device, packet):
    with open("/dev/net/tun", "r+b", buffering=0) as file:
        fcntl.ioctl(file, 0x400454ca, struct.pack("16sH22x", device.encode(), 0x1001))    # TUNSETIFF: TUN, NO_PI
        subprocess.run(["ip", "link", "set", device, "up"], check=True)
        file.write(bytes.fromhex(packet))
        time.sleep(1)          # the device ends with this program


def complete(device, port):
    from scapy.layers.inet import IP, TCP
    from scapy.layers.inet6 import IPv6
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3)) as sock:      # ETH_P_ALL
        sock.bind((device, 0))
        print("open", flush=True)
        while True:
            data = sock.recv(65535)
            got = (IP if data[0] >> 4 == 4 else IPv6)(data)
            if TCP not in got or got[TCP].dport != int(port) or got[TCP].flags != "SA":
                continue
            ip = type(got)(src=got.dst, dst=got.src)
            tcp = TCP(sport=got[TCP].dport, dport=got[TCP].sport, seq=got[TCP].ack, ack=got[TCP].seq + 1, flags="PA")
            send(bytes(ip / tcp / b"GET / HTTP/1.0\r\n\r\n").hex(), got.src)
            print("answered", flush=True)


if __name__ == "__main__":
    {"send": send, "frame": frame, "tun": tun, "complete": complete}[sys.argv[1]](*sys.argv[2:])
