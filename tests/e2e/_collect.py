#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""_collect.py DIR KIND:PORT:NAME... - a reader for one connection of each kind, into DIR/NAME as it comes.

unix: listens at DIR/NAME.sock. tcp, tls: at PORT of 127.0.0.1, tls with DIR/server.crt and DIR/server.key. ipfix: over TCP,
messages of RFC 7011 as lines: TYPE PROTOCOL SOURCE SPORT DESTINATION DPORT PACKETS BYTES BACK-PACKETS BACK-BYTES.
Prints `ready` when all listen."""
import ipaddress
import os
import socket
import ssl
import struct
import sys
import threading

REVERSE = 29305  # RFC 5103
TYPES = {1: "start", 2: "end", 3: "deny", 5: "update"}  # firewallEvent
PROTOCOLS = {6: "TCP", 17: "UDP"}


def learn(templates, content):
    number, count = struct.unpack("!HH", content[:4])
    at, fields = 4, []
    for _ in range(count):
        element, size = struct.unpack("!HH", content[at:at + 4])
        at, owner = at + 4, 0
        if element & 0x8000:
            owner, at = struct.unpack("!I", content[at:at + 4])[0], at + 4
        fields.append((owner, element & 0x7FFF, size))
    templates[number] = fields


def values(fields, content):
    at, found = 0, {}
    for owner, element, size in fields:
        if size == 65535:
            size, at = content[at], at + 1
            if size == 255:
                size, at = struct.unpack("!H", content[at:at + 2])[0], at + 2
        found[owner, element] = content[at:at + size]
        at += size
    return found


def line(found):
    def number(element, owner=0):
        return int.from_bytes(found[owner, element], "big")

    def address(v4, v6):
        return str(ipaddress.ip_address(found.get((0, v4)) or found[0, v6]))

    words = [TYPES[number(233)], PROTOCOLS[number(4)], address(8, 27), number(7), address(12, 28), number(11),
             number(2), number(1), number(2, REVERSE), number(1, REVERSE)]
    return " ".join(map(str, words)) + "\n"


def ipfix(connection, out):
    stream, templates = connection.makefile("rb"), {}
    while header := stream.read(16):
        version, length = struct.unpack("!HH", header[:4])
        if version != 10:
            raise ValueError("version %d" % version)
        content = stream.read(length - 16)
        while content:
            number, size = struct.unpack("!HH", content[:4])
            if number == 2:
                learn(templates, content[4:size])
            else:
                out.write(line(values(templates[number], content[4:size])).encode())
            content = content[size:]


def copy(connection, out):
    while data := connection.recv(65536):
        out.write(data)


def serve(listening, kind, path):
    connection = listening.accept()[0]
    with open(path, "wb", buffering=0) as out:
        (ipfix if kind == "ipfix" else copy)(connection, out)


def main():
    folder = sys.argv[1]
    for kind, port, name in (word.split(":") for word in sys.argv[2:]):
        path = os.path.join(folder, name)
        listening = socket.socket(socket.AF_UNIX if kind == "unix" else socket.AF_INET)
        if kind != "unix":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(path + ".sock" if kind == "unix" else ("127.0.0.1", int(port)))
        listening.listen()
        if kind == "tls":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(os.path.join(folder, "server.crt"), os.path.join(folder, "server.key"))
            listening = context.wrap_socket(listening, server_side=True)
        threading.Thread(target=serve, args=(listening, kind, path)).start()
    print("ready", flush=True)


main()
