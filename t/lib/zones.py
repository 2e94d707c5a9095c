#!/usr/bin/python3
"""Prints "zone local-time Unix-seconds" around every change of the clocks of
every zone in zone1970.tab from 2026 to 2036, as Python's zoneinfo knows them:
the first of two times where there are two, moved forward where there is none.
"""

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

STEP = 5 * 86400
START = int(datetime(2026, 1, 1, tzinfo=timezone.utc).timestamp())
END = int(datetime(2036, 1, 1, tzinfo=timezone.utc).timestamp())

with open('/usr/share/zoneinfo/zone1970.tab', encoding='utf-8') as tab:
    names = sorted({line.split('\t')[2].strip() for line in tab
                    if not line.startswith('#')})

for name in names:
    zone = ZoneInfo(name)

    def offset(t):
        return datetime.fromtimestamp(t, zone).utcoffset()

    for t in range(START, END, STEP):
        if t > START and offset(t) == offset(t + STEP):
            continue

        low, high = t, t + STEP

        while high - low > 1:
            middle = (low + high) // 2
            if offset(middle) == offset(t):
                low = middle
            else:
                high = middle

        wall = datetime.fromtimestamp(low, zone).replace(tzinfo=None)

        for minutes in -90, -30, 1, 31, 91:
            local = wall + timedelta(minutes=minutes)
            print(name, local.strftime('%Y-%m-%dT%H:%M'),
                  int(local.replace(second=0, tzinfo=zone).timestamp()))
