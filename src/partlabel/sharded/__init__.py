"""Prediction and filling in shards, for collections too large for one table: shards in, shards out.

A folder of photos or a label table is cut once into shards of so many rows; parquet tables and tar files (webdataset)
in a folder are shards as they are. Each shard is worked on alone and written to a file of its own, aside and then
renamed. So a file that is there is done, and the same command after a kill does what is left. The folder `out`:

====================  ============================================================================================
request.json          what is asked of every shard; shards of another request are refused
input/<row>.parquet   the input, cut: images and known labels from that row on
<row>.parquet         what was found in them, as `Tagger.predict` or `FilledTable.save` has it; named as the input
====================  ============================================================================================

Nothing is held but one shard, the names of all, and eight bytes an image while the input is cut.

`job.py` is what is asked and what came of it, `tars.py` what is in a tar file, `sources.py` what input there is,
`request.py` what a folder was asked before, `cutting.py` how input becomes shards, `work.py` what is done to one shard,
`running.py` to all. Each imports from those before it alone.
"""

from partlabel.sharded.job import Done, Job, ShardResult
from partlabel.sharded.run import run
from partlabel.sharded.sources import Files, SourceRows, of_path, of_table
from partlabel.sharded.worker import Worker

__all__ = ["Done", "Files", "Job", "ShardResult", "SourceRows", "Worker", "of_path", "of_table", "run"]
