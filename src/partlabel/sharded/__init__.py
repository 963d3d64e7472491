"""Prediction and filling in shards, for collections too large for one table: shards in, shards out.

A folder of images or a label table is divided once into shards of a fixed number of rows; parquet tables and tar files
(webdataset) in a folder are used as shards. Each shard is processed independently and written to a file of its own
by atomic rename. So a file that exists is complete, and the same command after a kill does the rest. The folder
`out`:

====================  ============================================================================================
request.json          settings of the request; shards of another request are refused
input/<row>.parquet   the divided input: images and known labels from that row on
<row>.parquet         results, as `Tagger.predict` or `FilledTable.save` writes them; named as the input
====================  ============================================================================================

In memory are one shard, the names of all shards, and eight bytes per image while the input is divided.

`job.py` is the request and its results, `webdataset.py` reads tar files, `sources.py` finds the input, `manifest.py`
compares a folder with the request, `partition.py` divides input into shards, `worker.py` processes one shard, `run.py`
all of them. Each imports only those before it.
"""

from partlabel.sharded.job import Done, Job, ShardResult
from partlabel.sharded.run import run
from partlabel.sharded.sources import Files, SourceRows, of_path, of_table
from partlabel.sharded.worker import Worker

__all__ = ["Done", "Files", "Job", "ShardResult", "SourceRows", "Worker", "of_path", "of_table", "run"]
