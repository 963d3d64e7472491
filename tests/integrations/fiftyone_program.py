"""What a person does in FiftyOne with a file of ours, run in FiftyOne's own environment: load it, look, export it.

    python fiftyone_program.py IMAGES OUT FILE...

It writes for each file what FiftyOne holds (`<stem>-held.json`), its JSON (`<stem>.json`), and a FiftyOneDataset
(`<stem>/`). Its database is the one that `FIFTYONE_DATABASE_URI` names, or else mongomock, in memory.
"""

import json
import os
import sys
from pathlib import Path

os.environ["FIFTYONE_DO_NOT_TRACK"] = "true"
SERVER = "FIFTYONE_DATABASE_URI"


def in_memory() -> None:
    """Put mongomock in the place of the client of MongoDB, before FiftyOne is imported."""
    import mongoengine
    import mongomock
    import pymongo

    os.environ |= {SERVER: "mongodb://localhost", "FIFTYONE_DATABASE_VALIDATION": "false"}
    store = mongomock.store.ServerStore()

    class Client(mongomock.MongoClient):
        _closed = False

        def __init__(self, *args, appname=None, **options):
            super().__init__(*args, _store=store, **options)

    connect = mongoengine.connect
    pymongo.MongoClient = Client
    mongoengine.connect = lambda name, **options: connect(name, mongo_client_class=Client, **options)


def held(sample) -> dict:
    """Return the fields of a sample that are ours, its labels from FiftyOne's own classes."""
    import fiftyone as fo

    own = {"filepath": sample.filepath, "tags": sample.tags}
    for name in sample.field_names:
        value = sample[name]
        if isinstance(value, fo.Classifications):
            assert all(isinstance(each, fo.Classification) for each in value.classifications)
            own[name] = [
                {key: each[key] for key in ("label", "confidence", "tags", "eval") if each.has_field(key)}
                for each in value.classifications
            ]
        elif name.startswith("eval_") or name == "text":
            own[name] = value
    return own


def main(images: str, out: Path, files: list[Path]) -> None:
    """Load every file as a dataset, and export it again."""
    import fiftyone as fo

    for file in files:
        dataset = fo.Dataset.from_json(str(file), rel_dir=images, overwrite=True, progress=False)
        seen = [held(sample) for sample in dataset]
        (out / f"{file.stem}-held.json").write_text(json.dumps(seen))
        dataset.write_json(str(out / file.name))
        dataset.export(
            export_dir=str(out / file.stem),
            dataset_type=fo.types.FiftyOneDataset,
            export_media=False,
            rel_dir=images,
            progress=False,
        )
        dataset.delete()


if __name__ == "__main__":
    if SERVER not in os.environ:
        in_memory()
    main(sys.argv[1], Path(sys.argv[2]), [Path(name) for name in sys.argv[3:]])
