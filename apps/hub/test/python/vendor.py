"""A vendor in another language: an unmodified python-socketio client, as docs/protocol.md describes it.

Usage: vendor.py URL TRANSPORT. Asks for a pickup, prints the receipt, then prints the first delivery it hears.
"""

import json
import sys
import threading

import socketio

url, transport = sys.argv[1:3]
client = socketio.Client(reconnection=False)
delivered = threading.Event()
printing = threading.Lock()


def say(what):
    with printing:  # the client calls handlers on threads of their own
        print(json.dumps(what), flush=True)



@client.on("delivered", namespace="/parcels")
def on_delivered(data, meta):
    say({"data": data, "meta": meta})
    delivered.set()


client.connect(
    url,
    namespaces=["/parcels"],
    transports=[transport],
    auth={"role": "vendor", "id": "py"},
)
parcel = {"parcelId": "p-1", "vendorId": "py", "customer": {"city": "Recife", "state": "PE"}}
say(client.call("pickup", parcel, namespace="/parcels"))
say(client.call("pickup", {"parcelId": 7}, namespace="/parcels"))
delivered.wait(timeout=20)
client.disconnect()
