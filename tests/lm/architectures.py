"""Tiny random models of many architectures, with the size of logits that tells a wrong rule from a right one."""

from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    Cohere2Config,
    CohereConfig,
    FalconConfig,
    Gemma2Config,
    Gemma3Config,
    Gemma3TextConfig,
    GPT2Config,
    GPTNeoXConfig,
    GraniteConfig,
    HyperCLOVAXConfig,
    LlamaConfig,
    MistralConfig,
    Olmo2Config,
    OPTConfig,
    Phi3Config,
    PreTrainedModel,
    Qwen2Config,
    Qwen3Config,
)

SHAPE: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.2,
}
ENDS: dict[str, Any] = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
GPT2: dict[str, Any] = {"n_positions": 512, "n_embd": 64, "n_layer": 2, "n_head": 4, "initializer_range": 0.2}
HEADS = {name: value for name, value in SHAPE.items() if name != "num_key_value_heads"}

CONFIGS: dict[str, tuple[type, dict[str, Any]]] = {
    "llama": (LlamaConfig, SHAPE),
    "mistral": (MistralConfig, SHAPE | {"sliding_window": 24}),
    "qwen2": (Qwen2Config, SHAPE),
    "qwen3": (Qwen3Config, SHAPE | {"head_dim": 16}),
    "gemma2": (
        Gemma2Config,
        SHAPE | {"head_dim": 16, "final_logit_softcapping": 2.0, "attn_logit_softcapping": 2.0, "sliding_window": 24},
    ),
    "gemma3": (Gemma3TextConfig, SHAPE | {"head_dim": 16, "final_logit_softcapping": 2.0, "sliding_window": 24}),
    "phi3": (Phi3Config, SHAPE),
    "granite": (GraniteConfig, SHAPE | {"logits_scaling": 8.0, "embedding_multiplier": 12.0}),
    "cohere": (CohereConfig, SHAPE | {"logit_scale": 0.0625}),
    "cohere2": (Cohere2Config, SHAPE | {"logit_scale": 0.0625}),
    "olmo2": (Olmo2Config, SHAPE),
    "hyperclovax": (HyperCLOVAXConfig, SHAPE | {"logits_scaling": 4.0}),
    "falcon": (FalconConfig, HEADS),
    "gpt2": (GPT2Config, GPT2),
    "gpt_neox": (GPTNeoXConfig, HEADS),
    "opt": (
        OPTConfig,
        {
            "hidden_size": 64,
            "ffn_dim": 96,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": 512,
            "word_embed_proj_dim": 32,
            "do_layer_norm_before": False,
            "init_std": 0.2,
        },
    ),
}
TARGETS = {
    "falcon": ("query_key_value",),
    "gpt_neox": ("query_key_value",),
    "gpt2": ("c_attn",),
    "phi3": ("qkv_proj",),
}
"""Of LoRA, where queries and values are not projections of their own."""


def tiny_model(name: str, vocab_size: int) -> PreTrainedModel:
    """A seeded model in float32, in evaluation mode."""
    kind, settings = CONFIGS[name]
    torch.manual_seed(0)
    model: PreTrainedModel = AutoModelForCausalLM.from_config(kind(vocab_size=vocab_size, **ENDS, **settings))
    return model.eval()


def tiny_gemma3_with_images(vocab_size: int) -> PreTrainedModel:
    """As Gemma 3 of 4B and above comes: a decoder and, beside it, a tower for images with layers of the same names."""
    torch.manual_seed(0)
    vision = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = Gemma3Config(
        text_config=SHAPE | {"head_dim": 16, "sliding_window": 24, "vocab_size": vocab_size} | ENDS,
        vision_config=vision | {"image_size": 28, "patch_size": 14},
        image_token_index=vocab_size - 1,
        boi_token_index=vocab_size - 2,
        eoi_token_index=vocab_size - 3,
    )
    model: PreTrainedModel = AutoModelForCausalLM.from_config(config)
    return model.eval()
