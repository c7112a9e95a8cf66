"""An opened event says what was recorded, digit by digit."""

import json
import math

from hypervisor_observability import EventType, HypervisorEvent
from hypervisor_observability.stores import Entry
from hypervisor_web.answers import json_bytes
from hypervisor_web.event_json import event_dict

MOST = 2**53 - 1


def test_numbers_that_the_browser_would_change_are_texts() -> None:
    payload = {
        "id": MOST + 2,
        "within": [MOST, -MOST, {"below": -MOST - 2}],
        "not a number": math.nan,
        "infinite": -math.inf,
        "half": 0.5,
        "flag": True,
    }
    event = HypervisorEvent(EventType.VFS_WRITE, payload=payload)

    told = json.loads(json_bytes(event_dict(0, Entry("", 0, event))))["event"]["payload"]

    assert told == {
        "id": "9007199254740993",
        "within": [MOST, -MOST, {"below": "-9007199254740993"}],
        "not a number": "nan",
        "infinite": "-inf",
        "half": 0.5,
        "flag": True,
    }
