"""Keep the tokens of largest norm, and compare that with VisionZip at one budget: python a_method_of_your_own.py."""

from dataclasses import dataclass

import focal


@dataclass(frozen=True, kw_only=True)
class NormPrune(focal.CompressionMethod):
    name, paper, trace_folder = "norm_prune", "an example", "norm_prune"
    hook_points, changes_length = frozenset({focal.HookPoint.LAYER_INPUT}), True
    layer: int = 2
    keep: float = 0.25

    def start(self, geometry, layout):
        return None

    def resequence(self, point, layer, hidden, stream, state):
        if layer != self.layer:
            return None
        norms = hidden[stream.visual_rows].norm(dim=-1)
        kept = norms.topk(max(1, int(self.keep * len(norms)))).indices.sort().values
        is_kept = hidden.new_ones(len(hidden)).bool()
        is_kept[stream.visual_rows] = False
        is_kept[stream.visual_rows[kept]] = True
        return focal.Resequenced(is_kept.nonzero().flatten())


model, processor = focal.load_model("shapes_image")
sample = focal.samples("shapes-pope", 1)[0]
with focal.compress(model, NormPrune(keep=0.5)) as run:
    model.generate(**processor(sample.question, **sample.media), max_new_tokens=2)
run.trace().show().save("overlay.html")
results = focal.simulate(run.trace(), ["dense", "focus"])
results.plot("speedup.png")
print(focal.compare_methods(model, focal.samples("shapes-pope", 8), [NormPrune(keep=0.5), "visionzip"], traced=1).frame())
