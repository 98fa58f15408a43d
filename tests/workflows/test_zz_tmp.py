import llmkit, torch
from safetensors.torch import load_file
from llmkit.errors import Stopped


def test_resume(tiny_recipe, tmp_path):
    torch.set_num_threads(1)
    s = ["train.epochs=null", "train.max_steps=8", "checkpoint.every_steps=3", "evaluate.baselines=false"]
    llmkit.finetune(str(tiny_recipe), s, out=tmp_path / "a")
    try:
        llmkit.finetune(str(tiny_recipe), [*s, "train.max_hours=0.0000001"], out=tmp_path / "b")
        assert 0
    except Stopped as e:
        print(e)
    llmkit.finetune(str(tiny_recipe), s, out=tmp_path / "b", resume=True)
    a, b = (load_file(next((tmp_path / x / "model").glob("*.safetensors"))) for x in "ab")
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert "llmkit" not in (tmp_path / "a/model/config.json").read_text()
