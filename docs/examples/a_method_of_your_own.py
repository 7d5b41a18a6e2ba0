"""Keep the tokens of largest norm, and compare that with VisionZip at one budget: python a_method_of_your_own.py."""

from dataclasses import dataclass

import focal


@dataclass(frozen=True)
class NormPrune(focal.TokenSelector):
    """Keeps the visual tokens of the largest norm before a layer."""

    keep: float = 0.5

    def score(self, hidden, tokens):
        return hidden.norm(dim=-1)


model, processor = focal.load_model("shapes_image")
sample = focal.samples("shapes-pope", 1)[0]
with focal.compress(model, NormPrune(keep=0.25)) as run:
    model.generate(**processor(sample.question, **sample.media), max_new_tokens=2)
run.trace().show().save("overlay.html")
results = focal.simulate(run.trace(), ["dense", "focus_sec_only"])
results.plot("speedup.png")
both = focal.compare_methods(model, focal.samples("shapes-pope", 8), [NormPrune(), "visionzip"], tokens=64, traced=1)
print(both.frame().T)
