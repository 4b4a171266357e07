"""Answer records that tests label."""

from typing import Any


def answer(row_id: str, target: str, given: str, style: str = "oe", error: str | None = None) -> dict[str, Any]:
    return {
        "row_id": row_id,
        "source": "test",
        "split": "test",
        "style": style,
        "task": "t",
        "group": row_id,
        "fresh_entity": False,
        "prompt": "",
        "context": f"Question: {row_id}?",
        "target_prompt": "\nAnswer:",
        "target": target,
        "options": ["x", "y"] if style == "choice" else [],
        "aliases": None,
        "solution": None,
        "model": "m",
        "output": given,
        "answer": given,
        "n_answer_tokens": 1,
        "log_likelihood": -1.0,
        "option_log_likelihoods": [],
        "finish_reason": "stop",
        "min_margin": None,
        "n_cut": 0,
        "error": error,
    }
