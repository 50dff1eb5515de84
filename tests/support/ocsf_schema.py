"""Checks OCSF JSON lines against the published class schemas.

    ocsf_schema.py SCHEMAS FILE...

The schemas (JSON Schema 2020-12, one file per class, named `<class_uid>-...schema.json`) only list the
type_uids of a class; that type_uid fits the activity is checked here. Exits 1 and says which line fails.
"""

import json
import os
import pathlib
import sys

import jsonschema


def vectors() -> pathlib.Path | None:
    """The folder with schemas by other people, or None."""
    default = pathlib.Path(__file__).resolve().parents[3] / "shared" / "vectors"
    folder = pathlib.Path(os.environ.get("DOMICILE_VECTORS", default)) / "ocsf-1.8.0"
    return folder if folder.is_dir() else None


class Schemas:
    def __init__(self, folder: pathlib.Path):
        self.validators = {}
        for path in pathlib.Path(folder).glob("*.schema.json"):
            schema = json.loads(path.read_text())
            jsonschema.Draft202012Validator.check_schema(schema)
            self.validators[int(path.name.split("-")[0])] = jsonschema.Draft202012Validator(schema)

    def problems(self, event: dict) -> list[str]:
        validator = self.validators.get(event.get("class_uid"))
        if validator is None:
            return [f"no schema for class {event.get('class_uid')}"]
        found = [f"{'/'.join(map(str, e.absolute_path))}: {e.message[:300]}" for e in validator.iter_errors(event)]
        if event["type_uid"] != event["class_uid"] * 100 + event["activity_id"]:
            found.append(f"type_uid {event['type_uid']} does not fit activity {event['activity_id']}")
        return found


def shape(value):
    """The value without its texts: what the schemas speak about (enums are numbers)."""
    if isinstance(value, dict):
        return {name: shape(member) for name, member in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value]
    return "" if isinstance(value, str) else value


def main(arguments: list[str]) -> int:
    schemas = Schemas(pathlib.Path(arguments[0]))
    failed = 0
    seen = set()
    types = set()
    for name in arguments[1:]:
        for number, line in enumerate(pathlib.Path(name).read_text().splitlines(), 1):
            event = json.loads(line)
            types.add(event["type_uid"])
            form = json.dumps(shape(event))
            if form in seen:
                continue
            seen.add(form)
            for problem in schemas.problems(event):
                failed += 1
                print(f"{name}:{number}: {problem}", file=sys.stderr)
            if failed > 20:
                return 1
    print(f"{failed} problems" if failed else f"{len(seen)} forms of {len(types)} types fit the schemas")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
