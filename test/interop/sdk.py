"""What a program with the Python SDK does, against whichever daemon has the socket. Prints one JSON object a step.

usage: sdk.py SOCKET PEER_SOCKET FILE     PEER_SOCKET: of the daemon that answers
"""

import json
import sys
import threading
import time

from pilotprotocol.client import Driver, PilotError

SOCKET, PEER_SOCKET, FILE = sys.argv[1:4]
WAIT_S = 20


def step(name):
    """Runs a function and prints what it returned; a failure ends nothing."""

    def run(function):
        try:
            result = function()
        except Exception as error:
            result = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps({"step": name, "result": result}), flush=True)
        return function

    return run


def eventually(look):
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    raise TimeoutError(f"not within {WAIT_S} s")


own, peer = Driver(SOCKET), Driver(PEER_SOCKET)
own_info, peer_info = own.info(), peer.info()
own_address, peer_address = own_info["address"], peer_info["address"]


def trusts(driver, node):
    return any(entry["node_id"] == node for entry in driver.trusted_peers()["trusted"])


@step("info")
def _():
    return sorted(set(own_info) & {"node_id", "address", "hostname", "peers", "conn_list", "features", "transport"})


@step("health")
def _():
    return own.health()["status"]


@step("trust")
def _():
    sent = own.handshake(peer_info["node_id"], "from the SDK")["status"]
    pending = lambda: [one["node_id"] for one in peer.pending_handshakes()["pending"]]
    eventually(lambda: own_info["node_id"] in pending() or trusts(peer, own_info["node_id"]))
    peer.approve_handshake(own_info["node_id"])
    eventually(lambda: trusts(own, peer_info["node_id"]) and trusts(peer, own_info["node_id"]))
    return sent


def converse(dialler, listener, address, port):
    """Bytes there and back between two drivers; the sizes of pieces are theirs."""
    sent = bytes(range(256)) * 4096  # 1 MiB
    answered = {}

    def serve():
        with server.accept() as conn:
            answered["got"] = conn.read_full(len(sent))
            conn.write(answered["got"][::-1])

    server = listener.listen(port)
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with dialler.dial(f"{address}:{port}") as conn:
        conn.write(sent)
        back = conn.read_full(len(sent))
    thread.join(WAIT_S)
    server.close()
    return {"there": answered.get("got") == sent, "back": back == sent[::-1]}


@step("dial")
def _():
    return converse(own, peer, peer_address, 5001)


@step("listen")
def _():
    return converse(peer, own, own_address, 5002)


@step("listen again on the same port")
def _():
    return converse(peer, own, own_address, 5002)


@step("refused")
def _():
    try:
        own.dial(f"{peer_address}:5999")
    except PilotError as error:
        return str(error)


@step("dial timeout")
def _():
    began = time.monotonic()
    try:
        own.dial("0:0000.0000.FFFF:80", timeout=5)
    except PilotError as error:
        return "not found" in str(error) and time.monotonic() - began < 6


@step("datagrams there")
def _():
    own.send_to(f"{peer_address}:6001", b"there")
    got = peer.recv_from()
    return [got["dst_port"], got["src_addr"] == own_address, bytes(got["data"], "latin1").hex()]


@step("datagrams back")
def _():
    peer.send_to(f"{own_address}:6002", b"back")
    got = own.recv_from()
    return [got["dst_port"], got["src_addr"] == peer_address, bytes(got["data"], "latin1").hex()]


@step("message there")
def _():
    return own.send_message(peer_address, b"hello", "text")["ack"]


@step("message back")
def _():
    return peer.send_message(own_address, b"hello back", "text")["ack"]


@step("file there")
def _():
    return own.send_file(peer_address, FILE)["ack"]


@step("file back")
def _():
    return peer.send_file(own_address, FILE)["ack"]


def events(subscriber, publisher, address):
    got = []
    ready = threading.Event()

    def listen():
        ready.set()
        for topic, data in subscriber.subscribe_event(address, "news", timeout=WAIT_S):
            got.append([topic, data.decode()])
            return

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    ready.wait()
    until = time.monotonic() + WAIT_S
    while thread.is_alive() and time.monotonic() < until:
        publisher.publish_event(address, "news", b"extra")
        thread.join(0.5)
    return got


@step("events of the peer")
def _():
    return events(own, peer, peer_address)


@step("events of our own")
def _():
    return events(peer, own, own_address)


@step("resolve")
def _():
    return own.resolve_hostname(peer_info["hostname"])["node_id"] == peer_info["node_id"]


@step("networks")
def _():
    return [network["name"] for network in own.network_list()["networks"]]


@step("tags")
def _():
    return own.set_tags(["gpu"])["tags"]


@step("revoke")
def _():
    own.revoke_trust(peer_info["node_id"])
    return trusts(own, peer_info["node_id"])


@step("disconnect of nothing")
def _():
    return own.disconnect(4711)
