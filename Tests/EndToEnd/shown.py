"""Which test shows that a setting takes effect at run time."""
import json

import bed

# {setting: names of the tests}
SHOWN = {}


def shows(*settings):
    """Decorates a test that fails if one of these settings does nothing in a daemon that runs. A setting is called as
    the reference calls it, behind its table: `global.log.level`, `pipeline.batch.rows`, `sink.format`, `file.path`."""
    def mark(test):
        for setting in settings:
            SHOWN.setdefault(setting, []).append(test.__name__)
        return test
    return mark


def all_settings():
    """Every setting that this build has, from its JSON Schema."""
    schema = json.loads(bed.xtcpd("schema", "config").stdout)
    found = {"include", "defaults", "profiles", "sinks"}
    found |= set(leaves(schema["properties"]["global"], "global"))
    found |= set(leaves(schema["$defs"]["pipeline"], "pipeline"))
    branches = [(branch["if"]["properties"]["type"]["enum"][0], set(leaves(branch["then"], "sink")))
                for branch in schema["$defs"]["sink"]["allOf"]]
    common = set.intersection(*[paths for _, paths in branches])
    for kind, paths in branches:
        found |= {path.replace("sink", kind, 1) for path in paths - common}
    found |= common
    return found


def leaves(schema, path):
    """What `type` is, is said elsewhere: `true` in a schema."""
    if schema is True:
        return
    if "properties" not in schema:
        yield path
    for key, inner in schema.get("properties", {}).items():
        yield from leaves(inner, f"{path}.{key}")
