from pathlib import Path

from raycalib.judging import judge_prompt
from raycalib.judging.reply_cache import ReplyCache
from raycalib.judging.settings import JudgeSettings
from raycalib.lm.names import find_model
from raycalib.lm.window import fit_left
from raycalib.stages.workers.labels import JudgeWorker, JudgeWorkerConfig
from raycalib.stages.workers.local_judge import LocalJudge
from raycalib.stages.workers.model import ModelWorkerConfig
from raycalib.storage import Location
from tests.stages.answers import answer

SETTINGS = JudgeSettings(model="tiny", engine="transformers", prompt="paper", max_output_tokens=4)


def model_config(directory: Path) -> ModelWorkerConfig:
    source = find_model(str(directory), None)
    return ModelWorkerConfig(source=source, dtype="float32", use_gpu=False, max_batch_tokens=4096, max_new_tokens=4)


def test_a_local_model_judges_through_the_same_worker(tiny_model_dir: Path, tmp_path: Path) -> None:
    cache = Location(str(tmp_path / "cache"))
    config = JudgeWorkerConfig(settings=SETTINGS, cache=cache, model=model_config(tiny_model_dir))
    rows = [answer("a", "Rome", "Rome"), answer("b", "b", "b", style="choice"), answer("c", "Rome", "Oslo")]
    worker = JudgeWorker(config)
    labelled = worker.process(rows)
    assert [row["row_id"] for row in labelled] == ["a", "b", "c"]
    assert labelled[1]["query_label"] == 1
    assert all(row["verdict"] is not None and not row["retryable"] for row in (labelled[0], labelled[2]))
    tally = worker.take_figures()
    assert (tally["requests"], tally["cached"]) == (2, 0)
    again = JudgeWorker(config)
    assert again.process(rows) == labelled
    assert (again.take_figures()["requests"], again.engine.tally.cached) == (0, 2)


def test_a_row_that_the_judge_cannot_read_costs_itself_alone(tiny_model_dir: Path, tmp_path: Path) -> None:
    judge = LocalJudge(model_config(tiny_model_dir), ReplyCache(Location(str(tmp_path / "cache")), SETTINGS))
    make = judge_prompt("paper").messages
    good, bad = judge.replies([make("Q?", "Rome", "Rome"), make("Q? " * 2000, "Rome", "Rome")])
    assert good.text is not None
    assert bad.text is None
    assert bad.reason.startswith("the judge cannot read this row: ValueError: too long")
    assert not bad.retryable


def test_a_chat_template_is_used_where_there_is_one(tiny_model_dir: Path, tmp_path: Path) -> None:
    judge = LocalJudge(model_config(tiny_model_dir), ReplyCache(Location(str(tmp_path / "cache")), SETTINGS))
    messages = [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]
    assert judge.request(messages).text == "S\n\nU\nAnswer:"
    judge.tokenizer.chat_template = (
        "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
        "{% if add_generation_prompt %}[assistant]{% endif %}"
    )
    request = judge.request(messages)
    assert request.text == "<s>[system]S[user]U[assistant]"
    ids = judge.tokenizer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
    fitted = fit_left(judge.tokenizer, request.text, request.kept, None, request.add_special_tokens)
    assert fitted.ids == ids, "what a server of this model reads"


def test_a_template_without_a_system_role_gets_one_message(tiny_model_dir: Path, tmp_path: Path) -> None:
    judge = LocalJudge(model_config(tiny_model_dir), ReplyCache(Location(str(tmp_path / "cache")), SETTINGS))
    judge.tokenizer.chat_template = (
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
        "[{{ m.role }}]{{ m.content }}{% endfor %}"
    )
    messages = [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]
    assert judge.request(messages).text == "[user]S\n\nU"
