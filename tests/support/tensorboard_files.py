"""Content of the event files of runs, read by TensorBoard's own readers."""

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from tensorboard import context
from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins import base_plugin
from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups


class Shown(NamedTuple):
    """A picture in an event file."""

    key: str
    step: int
    pixels: np.ndarray
    """Pixels (H, W, 3)."""


class Trial(NamedTuple):
    """A line of the HPARAMS tab."""

    name: str
    run: str
    status: str
    hparams: dict[str, bool | float | str]
    metrics: dict[str, float]


def pictures(folder: Path) -> list[Shown]:
    """Return all pictures in the event files of a folder."""
    events = EventAccumulator(str(folder), size_guidance={"images": 0}).Reload()
    return [
        Shown(key, event.step, np.asarray(Image.open(io.BytesIO(event.encoded_image_string))))
        for key in events.Tags()["images"]
        for event in events.Images(key)
    ]


def captions(folder: Path) -> dict[str, str]:
    """Return the caption of each key of pictures."""
    events = EventAccumulator(str(folder)).Reload()
    keys = events.Tags()["images"]
    return {key: events.SummaryMetadata(key).summary_description for key in keys}


def hparams(logdir: Path) -> list[Trial]:
    """Return the lines of the HPARAMS tab of `tensorboard --logdir LOGDIR`."""
    multiplexer = plugin_event_multiplexer.EventMultiplexer()
    multiplexer.AddRunsFromDirectory(str(logdir))
    multiplexer.Reload()
    provider = data_provider.MultiplexerDataProvider(multiplexer, str(logdir))
    backend = backend_context.Context(base_plugin.TBContext(data_provider=provider))
    request = api_pb2.ListSessionGroupsRequest(
        slice_size=100,
        allowed_statuses=api_pb2.Status.values(),
        aggregation_type=api_pb2.AGGREGATION_AVG,
    )
    found = list_session_groups.Handler(
        context.RequestContext(), backend, experiment_id="", request=request
    ).run()
    return [
        Trial(
            group.name,
            session.name,
            api_pb2.Status.Name(session.status),
            {key: getattr(v, v.WhichOneof("kind")) for key, v in group.hparams.items()},
            {metric.name.tag: metric.value for metric in session.metric_values},
        )
        for group in found.session_groups
        for session in group.sessions
    ]
