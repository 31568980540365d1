"""`xtcpd decode` on netlink captures of other kernels, against the text of ss that was taken beside them."""
import pytest

import bed
import compare
import sstext
from test_comparison import CAPTURES, SAMPLES

# Tokens that tick or depend on the machine of the capture (names of cgroups); ss ran a moment before or after the dump.
NOT_COMPARABLE = {"cgroup", "timer", *compare.AGES, *compare.BUSY}


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_capture_decodes_to_what_ss_said(sample):
    if not CAPTURES:
        pytest.skip("no captures beside this checkout (XTCPD_CAPTURES)")
    done = bed.xtcpd("decode", CAPTURES / f"{sample}.pcap", "--format", "jsonl")
    assert done.returncode == 0, done.stderr
    sockets = sstext.parse((CAPTURES / f"{sample}.ss").read_text())
    dumps = bed.group_by(bed.records_of(done.stdout), "poll_sequence")
    # A capture may hold several dumps, and the text belongs to the one that ss itself asked for.
    matched, compared, disagreements = min((disagreements_with(sockets, records) for records in dumps.values()),
                                           key=lambda found: (len(found[2]), -found[0]))
    assert matched >= 0.95 * len(sockets) and compared > 20 * matched
    assert disagreements == [], (len(disagreements), disagreements[:10])


def disagreements_with(sockets, records):
    """(sockets matched, tokens compared, what disagrees)."""
    matched = compared = 0
    disagreements = []
    for record in records:
        tokens = sstext.render(record, {})
        text = sockets.get(tokens["cookie"])
        if text is None or text["local"] != tokens["local"] or text["peer"] != tokens["peer"]:
            continue
        matched += 1
        for name in text.keys() - sstext.NOT_IN_RECORDS - NOT_COMPARABLE:
            compared += 1
            if text[name] != tokens.get(name):
                disagreements.append((f"{tokens['cookie']:x}", name, text[name], tokens.get(name)))
    return matched, compared, disagreements


@pytest.mark.parametrize("sample", ["7.0.3/one-v4", "7.0.3/one-v6"])
def test_a_capture_of_the_newest_kernel_has_the_newest_fields(sample):
    if not CAPTURES:
        pytest.skip("no captures beside this checkout (XTCPD_CAPTURES)")
    done = bed.xtcpd("decode", CAPTURES / f"{sample}.pcap", "--format", "jsonl")
    assert done.returncode == 0, done.stderr
    rows = bed.records_of(done.stdout)
    assert rows and all("tcp_info_received_ce" in row for row in rows if row.get("tcp_info_length") == 280)
