"""The price list: the real one's form, with prices made up from size."""

from __future__ import annotations

import json

from tests.cloud import answers, state
from tests.cloud.answers import Answer
from tests.cloud.call import Call

CORE, GIBIBYTE = 0.0208, 0.0030  # dollars an hour
ON_DEMAND, HOURS = "JRTCKXETXF", "6YS6EN2CT7"
LINUX = {
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
    "licenseModel": "No License required",
    "marketoption": "OnDemand",
}


def products(call: Call) -> Answer:
    """GetProducts for one instance type; anything else has no price."""
    wanted = {one["Field"]: one["Value"] for one in call.params.get("Filters", [])}
    kind = wanted.get("instanceType", "")
    facts = state.kind_facts(kind)
    there = LINUX | {
        "instanceType": kind,
        "regionCode": wanted.get("regionCode", call.region),
        "location": wanted.get("location", "EU (London)"),
        "vcpu": str(state.vcpus(kind)),
        "servicecode": "AmazonEC2",
    }
    matches = all(there.get(field, value) == value for field, value in wanted.items())
    if call.params.get("ServiceCode") != "AmazonEC2" or not facts or not matches:
        return answers.document({"FormatVersion": "aws_v1", "PriceList": []})
    price = state.vcpus(kind) * CORE + facts["MemoryInfo"]["SizeInMiB"] / 1024 * GIBIBYTE
    offer = {
        "product": {"productFamily": "Compute Instance", "attributes": there, "sku": "SKU1"},
        "serviceCode": "AmazonEC2",
        "terms": {"OnDemand": {f"SKU1.{ON_DEMAND}": _term(kind, price)}},
    }
    return answers.document({"FormatVersion": "aws_v1", "PriceList": [json.dumps(offer)]})


def _term(kind: str, price: float) -> dict[str, object]:
    dimension = {
        "unit": "Hrs",
        "description": f"${price:.4f} per On Demand Linux {kind} Instance Hour",
        "pricePerUnit": {"USD": f"{price:.10f}"},
        "beginRange": "0",
        "endRange": "Inf",
    }
    return {
        "sku": "SKU1",
        "offerTermCode": ON_DEMAND,
        "termAttributes": {},
        "priceDimensions": {f"SKU1.{ON_DEMAND}.{HOURS}": dimension},
    }
