import copy

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from raycalib.lm.engines.first_reader import FirstReader

TinyLlama = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]
TEXTS = [[1, 20, 21, 22], [1, 30], [1, 40, 41, 42, 43, 44, 45]]


@torch.no_grad()
def test_logits_are_those_of_each_text_alone_and_the_model_stays_as_it_was(tiny_llama: TinyLlama) -> None:
    model = copy.deepcopy(tiny_llama[0]).double()
    alone = [model(input_ids=torch.tensor([text])).logits for text in TEXTS]
    reader = FirstReader(model, pad=3)
    found = reader.logits(TEXTS, None)
    torch.testing.assert_close(found, torch.cat([logits[:, -1] for logits in alone]), rtol=1e-6, atol=1e-6)
    for text, logits in zip(TEXTS, alone, strict=True):
        assert torch.equal(model(input_ids=torch.tensor([text])).logits, logits)
