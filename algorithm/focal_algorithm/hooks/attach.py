"""Registers every hook of the project and removes it again.

Only public seams are used: module hooks, registered attention functions, and a ``generate`` of the model's own that
calls the stock one. No class is changed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from torch import Tensor, nn

from focal_algorithm.hooks.attention import SESSIONS, observed_attention
from focal_algorithm.hooks.generation import refuse_copy, watched_generate
from focal_algorithm.hooks.recorder import Recorder
from focal_algorithm.hooks.session import Session
from focal_algorithm.methods.base import CompressionMethod, HookPoint
from focal_algorithm.models.base import LayerPoints, ModelAdapter
from focal_algorithm.models.inference_only import refuse_compiled_parts
from focal_algorithm.prompts.layout import SampleLayout
from focal_common.errors import UnsupportedError

__all__ = ["attach", "unwrapped"]


@contextmanager
def attach(
    model: Any,
    adapter: ModelAdapter,
    method: CompressionMethod,
    recorder: Recorder | None = None,
    layouts: Sequence[SampleLayout] | None = None,
) -> Iterator[Session]:
    """Compress the prefills of a stock model inside a ``with`` block; afterwards the model is as before.

    For inference: a forward in training mode is refused, and so is a backward pass through activations that the
    method replaced. Where it only chooses among tokens, gradients are exact.

    Args:
        model: A transformers model in evaluation mode.
        adapter: Its family.
        method: What to do.
        recorder: Takes what the method did to each GEMM input; None to record nothing.
        layouts: See `Session`.

    Raises:
        UnsupportedError: The model is attached already, or the combination cannot work.
    """
    called, model = model, unwrapped(model)
    refuse_compiled_parts(model)
    points = adapter.points(model)
    decoder: Any = points.decoder
    if any(point.attention in SESSIONS for point in points.layers):
        raise UnsupportedError("a method is attached to this model already; leave its 'with' block first")
    session = Session(model, adapter, method, recorder, layouts)
    stock = decoder.config._attn_implementation
    observed = observed_attention(stock)
    adds_after_layers = type(adapter).layer_additions is not ModelAdapter.layer_additions
    with ExitStack() as undo:
        handles = _Handles(undo)
        for module in dict.fromkeys((called, model)):
            handles.keyword_inputs(module, session.on_call)
        handles.keyword_inputs(_taker_of_ids(model, points.decoder), session.on_model_inputs)
        handles.keyword_inputs(points.decoder, session.on_decoder_inputs)
        handles.watched(points.decoder, session.on_decoder_output)
        if session.tower is not None:
            for module, see in session.tower.outputs():
                handles.watched(module, see)
            for module, look in session.tower.keywords():
                handles.keyword_inputs(module, look)
        for layer, point in enumerate(points.layers):
            _attach_layer(handles, session, layer, point, needs_gemms=recorder is not None)
            if HookPoint.AFTER_ATTENTION in session.points or adds_after_layers:
                handles.outputs(point.layer, partial(session.on_layer_output, layer))
            SESSIONS[point.attention] = (session.operands, layer)
            undo.callback(SESSIONS.pop, point.attention, None)
        undo.callback(decoder.set_attn_implementation, stock)
        decoder.set_attn_implementation(observed)
        undo.enter_context(watched_generate(model, session.generating))
        undo.callback(setattr, session.attachment, "is_open", False)
        yield session


def unwrapped(model: Any) -> Any:
    """Return the transformers model inside a PEFT model, whose own modules carry the adapters; others as they are."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def _taker_of_ids(model: Any, decoder: nn.Module) -> nn.Module:
    """Return the module that every way of calling a model passes ids and pixels to.

    PEFT calls ``forward`` of the model past its hooks, but not that of the module inside.
    """
    inner = getattr(model, "model", None)
    if (
        isinstance(inner, nn.Module)
        and inner is not decoder
        and "input_ids" in inspect.signature(inner.forward).parameters
    ):
        return inner
    whole: nn.Module = model
    return whole


def _attach_layer(
    handles: _Handles, session: Session, layer: int, point: LayerPoints, needs_gemms: bool
) -> None:
    handles.layer_inputs(point.layer, partial(session.on_layer_input, layer))
    if needs_gemms or HookPoint.GEMM_INPUT in session.points:
        modules = {
            "q_proj": point.attention,
            "o_proj": point.o_proj,
            "gate_proj": point.mlp,
            "down_proj": point.down_proj,
        }
        for gemm, module in modules.items():
            handles.first_input(module, partial(session.operands.on_gemm_input, layer, gemm))
    if HookPoint.AFTER_ATTENTION in session.points:
        handles.first_input(point.mlp_norm, partial(session.on_after_attention, layer))
        handles.outputs(point.mlp_branch, session.on_mlp_output)


def _by_name(module: nn.Module, args: Sequence[Any], inputs: dict[str, Any]) -> dict[str, Any]:
    """Return arguments of a forward by name, those given by place included."""
    found = inspect.signature(module.forward).bind_partial(*args, **inputs).arguments
    rest = {name: found.pop(name) for name in ("kwargs", "model_kwargs") if name in found}
    return {**found, **{name: value for named in rest.values() for name, value in named.items()}}


class _Handles:
    """Module hooks in the four forms the session needs; all are removed by ``undo``.

    Each refuses copies of its module, which take hooks along, but not the entry of their attention in `SESSIONS`. They
    are kept short: a decode step passes several in each layer.
    """

    def __init__(self, undo: ExitStack) -> None:
        self._undo = undo

    def keyword_inputs(
        self, module: nn.Module, change: Callable[[dict[str, Any]], dict[str, Any] | None]
    ) -> None:
        def hook(called: nn.Module, args: Any, inputs: dict[str, Any]) -> tuple[Any, dict[str, Any]] | None:
            if called is not module:
                refuse_copy()
            changed = change(_by_name(module, args, inputs) if args else inputs)
            return None if changed is None else ((), changed)

        self._keep(module.register_forward_pre_hook(hook, with_kwargs=True))

    def layer_inputs(
        self,
        module: nn.Module,
        change: Callable[[Tensor, dict[str, Any]], tuple[Tensor, dict[str, Any]]],
    ) -> None:
        def hook(called: nn.Module, args: Any, inputs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
            if called is not module:
                refuse_copy()
            if args:
                hidden, changed = change(args[0], inputs)
                return (hidden, *args[1:]), changed
            hidden, changed = change(inputs["hidden_states"], inputs)
            return args, changed | {"hidden_states": hidden}

        self._keep(module.register_forward_pre_hook(hook, with_kwargs=True))

    def first_input(self, module: nn.Module, change: Callable[[Tensor], Tensor]) -> None:
        self.layer_inputs(module, lambda hidden, inputs: (change(hidden), inputs))

    def outputs(self, module: nn.Module, change: Callable[[Any], Any]) -> None:
        def hook(called: nn.Module, _args: Any, output: Any) -> Any:
            if called is not module:
                refuse_copy()
            if isinstance(output, tuple):
                return (change(output[0]), *output[1:])
            return change(output)

        # Before the hooks by which transformers collects hidden_states, which then see what the next layer gets.
        self._keep(module.register_forward_hook(hook, prepend=True))

    def watched(self, module: nn.Module, see: Callable[[Any], None]) -> None:
        def hook(called: nn.Module, _args: Any, output: Any) -> None:
            if called is not module:
                refuse_copy()
            see(output)

        self._keep(module.register_forward_hook(hook))

    def _keep(self, handle: Any) -> None:
        self._undo.callback(handle.remove)
