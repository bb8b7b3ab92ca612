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


@client.on("delivered", namespace="/parcels")
def on_delivered(data, meta):
    print(json.dumps({"data": data, "meta": meta}), flush=True)
    delivered.set()


client.connect(
    url,
    namespaces=["/parcels"],
    transports=[transport],
    auth={"role": "vendor", "id": "py"},
)
parcel = {"parcelId": "p-1", "vendorId": "py", "customer": {"city": "Recife", "state": "PE"}}
print(json.dumps(client.call("pickup", parcel, namespace="/parcels")), flush=True)
print(json.dumps(client.call("pickup", {"parcelId": 7}, namespace="/parcels")), flush=True)
delivered.wait(timeout=20)
client.disconnect()
