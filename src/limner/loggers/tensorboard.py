"""Logger for TensorBoard: values, pictures, and the config for the HPARAMS tab."""

__all__ = ["HPARAMS_FILE", "TensorBoardLogger"]

import io
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger, rank_zero_experiment
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard import SummaryWriter

from limner.files.atomic import write_atomically
from limner.loggers.flat_config import flat_config, run_name

HPARAMS_FILE = "events.out.tfevents.0.hparams"
"""Name of the event file with the config; TensorBoard reads it before the others."""
COMPRESSION = 3  # PNGs as small as with PIL's default 6, in less than half the time


class TensorBoardLogger(Logger):
    """Logger that writes values, pictures and the config to event files in the run folder.

    TensorBoard names a run by the folder of its event files, so they lie in the run folder itself.
    The HPARAMS tab lists the config with keys such as `model.latent_dim`, and the newest value of
    everything that is logged, such as the objective. The config has an event file of its own,
    which a resumed run replaces, since TensorBoard shows the first of several configs of a run.

    Args:
        folder: Run folder.
    """

    name, version = "tensorboard", ""

    def __init__(self, *, folder: str) -> None:
        super().__init__()
        self.folder = Path(folder)
        self._run_name = run_name(folder)
        self._start: Summary | None = None
        self._writer: SummaryWriter | None = None
        self._options: dict[str, int] = {}
        threading.excepthook = _without_tensorboard(threading.excepthook)

    @property
    def save_dir(self) -> str:
        return str(self.folder)

    @property
    def log_dir(self) -> str:
        return str(self.folder)

    @property
    @rank_zero_experiment
    def experiment(self) -> SummaryWriter:
        """Writer of the event files, opened at the first use."""
        if self._writer is None:
            self._writer = SummaryWriter(self.log_dir, **self._options)
            self._options = {}  # a writer that replaces a failed writer must not purge
        return self._writer

    def go_on_from(self, update: int) -> None:
        """Hide values that an earlier start logged after `update`; call this before logging."""
        self._options = {"purge_step": update + 1}

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        with self._replacing_broken_writers():
            for name, value in metrics.items():
                self.experiment.add_scalar(name, value, step)

    @rank_zero_only
    def log_hyperparams(self, params: Mapping[str, Any], *args: Any, **kwargs: Any) -> None:
        """Write the config for the HPARAMS tab; a later call replaces it.

        A key whose value is null is left out, so that the column of a number stays a number.
        """
        # No summary lists the metrics: TensorBoard would take the list of one run for all runs,
        # with the keys of that run's model only. Without a list, it collects all keys and values.
        values = flat_config(params, separator=".")
        known = {key: value for key, value in values.items() if value is not None}
        self._start = hparams_pb(known, trial_id=self._run_name)
        self._write_hparams([self._start])

    @rank_zero_only
    def log_image(
        self,
        key: str,
        images: Sequence[Image.Image],
        step: int,
        caption: Sequence[str] | None = None,
    ) -> None:
        """Add pictures under one key.

        Args:
            key: Tag of the pictures.
            images: The pictures.
            step: Update at which they were drawn.
            caption: Description of each picture. TensorBoard shows the first of a key.
        """
        captions = [""] * len(images) if caption is None else caption
        with self._replacing_broken_writers():
            writer = self.experiment
            for image, text in zip(images, captions, strict=True):
                summary = Summary(value=[_image_value(key, image, text)])
                writer.file_writer.add_summary(summary, step)

    @rank_zero_only
    def save(self) -> None:
        if self._writer is not None:
            with self._replacing_broken_writers():
                self._writer.flush()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        if self._writer is not None:
            writer, self._writer = self._writer, None  # a closed writer cannot add pictures
            writer.flush()
            writer.close()
        if self._start is not None:
            ended = "STATUS_SUCCESS" if status == "success" else "STATUS_FAILURE"
            self._write_hparams([self._start, _end(ended)])

    def _write_hparams(self, summaries: Sequence[Summary]) -> None:
        """Replace the event file of the config."""
        now = time.time()
        events = [Event(wall_time=now, file_version="brain.Event:2")]
        events += [Event(wall_time=now, step=0, summary=summary) for summary in summaries]
        content = io.BytesIO()
        writer = RecordWriter(content)
        for event in events:
            writer.write(event.SerializeToString())
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self.folder / HPARAMS_FILE, content.getvalue())

    @contextmanager
    def _replacing_broken_writers(self) -> Iterator[None]:
        """Discard a writer that has failed, since it never writes again."""
        # TensorBoard's thread also prints a traceback
        # (test_tensorboard_writes_again_when_the_disk_has_room).
        try:
            yield
        except Exception:
            self._writer = None
            raise


def _image_value(key: str, image: Image.Image, caption: str) -> Summary.Value:
    """Return a picture with its caption, which SummaryWriter's own method cannot write."""
    content = io.BytesIO()
    image.convert("RGB").save(content, format="PNG", compress_level=COMPRESSION)
    picture = Summary.Image(
        height=image.height,
        width=image.width,
        colorspace=3,  # RGB
        encoded_image_string=content.getvalue(),
    )
    about = SummaryMetadata(
        summary_description=caption,
        plugin_data=SummaryMetadata.PluginData(plugin_name="images"),
    )
    return Summary.Value(tag=key, image=picture, metadata=about)


def _end(status: str) -> Summary:
    """Return the summary with which a run ends in the HPARAMS tab."""
    end = plugin_data_pb2.SessionEndInfo(
        status=api_pb2.Status.Value(status), end_time_secs=time.time()
    )
    data = plugin_data_pb2.HParamsPluginData(session_end_info=end)
    return Summary(
        value=[
            Summary.Value(
                tag=metadata.SESSION_END_INFO_TAG,
                metadata=metadata.create_summary_metadata(data),
                tensor=metadata.NULL_TENSOR,
            )
        ]
    )


def _without_tensorboard(hook: Callable[..., object]) -> Callable[..., object]:
    """Return an excepthook without the tracebacks of TensorBoard's writer threads.

    The writers raise the same exceptions at their next call.
    """
    if getattr(hook, "hides_tensorboard", False):
        return hook

    def show(arguments: threading.ExceptHookArgs) -> None:
        if not type(arguments.thread).__module__.startswith("tensorboard."):
            hook(arguments)

    show.hides_tensorboard = True
    return show
