"""Answers of a model with a method attached: the prefill of each question and its most likely next word.

Attaches methods exactly as ``focal trace`` and ``focal eval`` do. What differs is only what is not done twice: a
picture goes through the vision tower once, and through the decoder once where the method does not read the question;
and a word is read off the logits instead of being generated.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from focal_algorithm.checkpoints.loading import LoadedModel
from focal_algorithm.evaluation.offline.pictures import EncodedPicture, PictureCache
from focal_algorithm.evaluation.offline.questions import Asked, QuestionSet
from focal_algorithm.hooks import Session, attach
from focal_algorithm.hooks.recorder import RecordedSample, Recorder
from focal_algorithm.methods.base import CompressionMethod
from focal_algorithm.tasks.asking import parse_choice
from focal_algorithm.tracing.batches import is_out_of_memory, lead_is_clear
from focal_algorithm.tracing.prompting import Prompt, build_prompt
from focal_algorithm.tracing.runner import method_of
from focal_algorithm.tracing.settings import RunSettings
from focal_algorithm.transformers_versions import cache_name, cache_of
from focal_common.errors import RunError, UnsupportedError

_NEW_TOKENS = 4
"""Room for the words of other tokenizers; that of the task files of ``focal eval``."""


@dataclass(frozen=True)
class Reply:
    """One answered question.

    Attributes:
        number: Number of the question.
        picture: Sample id; questions about one picture are not independent.
        kind: Sub-task.
        answer: As the model gave it, up to its first word where that settles the answer.
        target: Right word.
        is_right: Whether the first word of the answer is the right one.
        is_parsable: Whether it is one of the choices.
        recorded: Counts of the same prefill; None where none were asked for.
    """

    number: int
    picture: str
    kind: str
    answer: str
    target: str
    is_right: bool
    is_parsable: bool
    recorded: RecordedSample | None = None


class Evaluator:
    """A loaded model and the questions that it is asked.

    Args:
        loaded: The model.
        questions: See `load_questions`.
        pictures: Encoded pictures of this model to share between evaluators; new if None.
        batch: Most questions about a picture in one batch; 0 for all of them. Halved where memory runs out.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        questions: QuestionSet,
        pictures: PictureCache | None = None,
        batch: int = 0,
    ) -> None:
        self.loaded = loaded
        self.questions = questions
        self._batch = batch
        self._pictures = pictures or PictureCache(loaded)
        self._reads_words = _is_word_level(loaded, questions)
        ends = loaded.model.generation_config.eos_token_id
        self._ends = frozenset(ends if isinstance(ends, list) else () if ends is None else (ends,))

    def method(self, name: str, parameters: dict[str, Any] | None = None) -> CompressionMethod:
        """Return a method as ``focal trace`` and ``focal eval`` build it: published or fitted fields, own over them."""
        settings = RunSettings(
            output=Path(), method=name, parameters=parameters or {}, dataset=self.questions.benchmark
        )
        return method_of(settings, self.loaded)[0]

    def replies(
        self,
        method: CompressionMethod,
        numbers: Sequence[int] | None = None,
        recorded: Collection[int] = (),
    ) -> Iterator[Reply]:
        """Answer questions.

        Args:
            method: See `method`.
            numbers: Numbers of the questions; all if None. Neighbours about one picture share its attachment.
            recorded: Numbers of the questions whose prefill is recorded as a trace; about twice as slow.

        Raises:
            FocalError: The method cannot work on these prompts; the sentence says why.
        """
        chosen = self.questions.asked if numbers is None else [self.questions.asked[one] for one in numbers]
        for (picture, is_recorded, _), group in groupby(
            chosen, key=lambda one: (one.picture, one.number in recorded, one.first)
        ):
            yield from self._about(picture, list(group), method, is_recorded)

    def _about(
        self, picture: int, group: list[Asked], method: CompressionMethod, is_recorded: bool
    ) -> Iterator[Reply]:
        loaded, sample = self.loaded, self.questions.samples[picture].media()
        recorder = Recorder(loaded.geometry, method) if is_recorded else None
        with torch.inference_mode(), attach(loaded.model, loaded.adapter, method, recorder, []) as session:
            encoded = self._pictures.encoded(sample, session)
            prompts = [build_prompt(loaded, sample, asked.text, encoded.visual) for asked in group]
            words: list[str | None] = [None] * len(group)
            if group[0].first:
                self._require_words(group)
                first = build_prompt(loaded, sample, group[0].first, encoded.visual)
                given = {"mm_encoder_outputs": dict(encoded.outputs)}
                logits = shared_logits(loaded, session, prompts, given, first)
                words = [self._word(one) or "" for one in logits]
            elif self._reads_words and not (method.study.reads_question(method) or is_recorded):
                words = self._shared_words(prompts, encoded, session)
            for asked, prompt, word in zip(group, prompts, words, strict=True):
                answer = word if word is not None else self._answer(prompt, encoded, session)
                said = parse_choice(answer, asked.choices)
                yield Reply(
                    number=asked.number,
                    picture=sample.sample_id,
                    kind=asked.kind,
                    answer=answer,
                    target=asked.answer,
                    is_right=said == asked.answer,
                    is_parsable=said is not None,
                    recorded=recorder.samples[-1] if recorder is not None else None,
                )

    def _require_words(self, group: Sequence[Asked]) -> None:
        if not self._reads_words:
            raise UnsupportedError(
                f"{self.loaded.name}: its tokenizer splits choices such as {', '.join(group[0].choices[:2])}; second "
                "turns are asked only where each choice is one token"
            )

    def _shared_words(
        self, prompts: Sequence[Prompt], encoded: EncodedPicture, session: Session
    ) -> list[str | None]:
        """Return the word after each prompt; None where a batch cannot tell and it must be asked alone."""
        words: list[str | None] = []
        while len(words) < len(prompts):
            part = prompts[len(words) :][: self._batch or None]
            if len(part) == 1:
                words.append(None)
                continue
            try:
                given = {"mm_encoder_outputs": dict(encoded.outputs)}
                logits = shared_logits(self.loaded, session, part, given)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            else:
                clear = lead_is_clear(logits, session.method, self.loaded.model.dtype).tolist()
                words += [self._word(one) if sure else None for one, sure in zip(logits, clear, strict=True)]
                continue
            self._batch = len(part) // 2
        return words

    def _answer(self, prompt: Prompt, encoded: EncodedPicture, session: Session) -> str:
        model, tokenizer = self.loaded.model, self.loaded.tokenizer
        session.layouts = [prompt.layout]
        given = {"mm_encoder_outputs": dict(encoded.outputs)}
        if self._reads_words:
            logits = model(**prompt.inputs, **given, logits_to_keep=1, use_cache=False).logits
            word = self._word(logits[0, -1])
            if word is not None:
                return word
            given = {"mm_encoder_outputs": dict(encoded.outputs)}
        # The first token is no word of its own, so only those after it tell the answer.
        output = model.generate(**prompt.inputs, **given, max_new_tokens=_NEW_TOKENS, do_sample=False)
        return tokenizer.decode(output[0, prompt.layout.sequence_tokens :].tolist()).strip()

    def _word(self, logits: Tensor) -> str | None:
        """Return the most likely word, empty where the answer ends; None where the token is no word of its own."""
        token = int(logits.argmax())
        if token in self._ends:
            return ""
        word = self.loaded.tokenizer.decode([token]).strip()
        return word if any(letter.isalnum() for letter in word) else None


def _is_word_level(loaded: LoadedModel, questions: QuestionSet) -> bool:
    """Return whether every choice is one token, and a further token begins another word."""
    tokenizer = loaded.tokenizer
    for choice in sorted({choice for one in questions.asked for choice in one.choices}):
        tokens = tokenizer.encode(choice)
        if len(tokens) != 1 or tokenizer.decode(tokens * 2).split() != [choice, choice]:
            return False
    return True


def shared_logits(
    loaded: LoadedModel,
    session: Session,
    prompts: Sequence[Prompt],
    pictures: dict[str, Any],
    first: Prompt | None = None,
) -> Tensor:
    """Return the logits after each prompt, axes (prompts, vocabulary).

    The decoder sees the picture and the text before it once; the questions follow as a batch on copies of its cache.
    Where the method does not read questions, causal attention keeps them from what came before, so these are the
    logits of whole prefills, but for the rounding of products of another shape.

    Args:
        loaded: The model.
        session: A method, attached.
        prompts: About one picture, alike up to its end.
        pictures: Further keyword arguments of the prefill: pictures encoded before, where prompts hold no pixels.
        first: Prompt of an earlier turn about the same picture: it fills the cache, then its question is cut off, so
            that the others are asked of the picture as it was compressed for this one. None for methods that do not
            read questions, which need no earlier turn.

    Raises:
        RunError: The prompts differ before the end of the picture.
    """
    token_ids = [prompt.inputs["input_ids"][0] for prompt in prompts]
    shown = [*prompts, *([] if first is None else [first])]
    stop = _alike([prompt.inputs["input_ids"][0] for prompt in shown])
    pictures_shown = {replace(prompt.layout, sequence_tokens=0) for prompt in shown}
    if len(pictures_shown) > 1 or stop < prompts[0].layout.visual_stop:
        raise RunError(f"{prompts[0].layout.sample_id}: prompts about one picture differ before its end")
    if first is None:
        cache = _prefix(loaded, session, prompts[0], stop, pictures)
    else:
        whole = first.layout.sequence_tokens
        cache = _prefix(loaded, session, first, whole, pictures)
        cache.crop(stop - whole)
    cache.batch_repeat_interleave(len(prompts))
    rests = [one[stop:] for one in token_ids]
    # Padding comes last, where no real token sees it; any id will do.
    padded = torch.nn.utils.rnn.pad_sequence(rests, batch_first=True, padding_value=int(rests[0][0]))
    logits = loaded.model(input_ids=padded, use_cache=True, **{cache_name(): cache}).logits
    last = torch.tensor([len(rest) - 1 for rest in rests], device=logits.device)
    answers: Tensor = logits[torch.arange(len(rests), device=logits.device), last]
    return answers


def _alike(token_ids: Sequence[Tensor]) -> int:
    """Return how many tokens all prompts begin with, leaving each at least one of its own."""
    length = min(map(len, token_ids)) - 1
    rows = torch.stack([one[:length] for one in token_ids])
    return int((rows == rows[0]).all(0).cumprod(0).sum())


def _prefix(
    loaded: LoadedModel, session: Session, prompt: Prompt, stop: int, pictures: dict[str, Any]
) -> Any:
    """Return the cache after the first ``stop`` tokens of a prompt."""
    whole = prompt.layout.sequence_tokens
    inputs = {
        name: value[:, :stop] if value.ndim == 2 and value.shape[1] == whole else value
        for name, value in prompt.inputs.items()
    }
    session.layouts = loaded.adapter.layouts(loaded.model, inputs, [prompt.layout.sample_id])
    output = loaded.model(**inputs, **pictures, use_cache=True, logits_to_keep=1)
    return cache_of(output)
