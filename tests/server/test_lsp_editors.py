"""The captured capabilities of real editors: each initialises, lists actions, and receives an edit in its own encoding."""

from __future__ import annotations

import json
from typing import Any

import pytest

import parts
from lsp_application import Application
from lsp_client import Editor, in_process

ENCODINGS = {
    "emacs_eglot_1.17.30": "utf-32",
    "helix_25.07.1": "utf-8",
    "neovim_0.10.4": "utf-16",
    "neovim_0.11.6": "utf-8",
    "neovim_0.12.4": "utf-8",
    "vscode_1.139.1_client11.0.0": "utf-16",
}
URI = "file:///project/caf%C3%A9/a.py"
TEXT = (
    "# 😀 first\r\nimport os\r\n\x0c\r\n"
    's = "a\u2028b"  # é\n'
    'def f():\r\n    return "😀😀", os_\r\n'
    "last = f()  # no end 😀"
)
WANTED = TEXT.replace('"😀😀", os_', '"😀é😀", os').replace("last", "final")


@pytest.mark.parametrize("name", list(ENCODINGS))
async def test_a_real_editors_capabilities(name: str) -> None:
    """Every editor gets its menu, and an edit that fits its own idea of the text."""
    captured = json.loads(parts.shared_data("caps", f"{name}.json").read_text(encoding="utf-8"))
    application = Application()
    async with in_process(application) as client:
        client.handlers["workspace/configuration"] = lambda params: [None for _ in params["items"]]
        told = await client.initialize(**captured)
        encoding = ENCODINGS[name]
        assert told["capabilities"]["positionEncoding"] == encoding
        able = captured["capabilities"]
        content = "textDocumentContent" in able["workspace"]
        assert ("textDocumentContent" in told["capabilities"]["workspace"]) == content
        editor = Editor(client, encoding=encoding)
        editor.open(URI, TEXT)
        editor.type(URI, TEXT.index("f()  #"), TEXT.index("f()  #"), "ö😀")
        editor.type(URI, editor.texts[URI].index("ö😀"), editor.texts[URI].index("ö😀") + 2, "")
        problem = {"range": editor.place(URI, "os_"), "message": "undefined", "source": "pyright", "severity": 1}
        params: dict[str, Any] = {
            "textDocument": {"uri": URI},
            "range": editor.place(URI, "os_"),
            "context": {"diagnostics": [problem]},
        }
        await client.request("glossator/status", {})  # waits until the server has started up: then titles have routes
        actions = await client.request("textDocument/codeAction", params)
        (fix,) = [one for one in actions if one["kind"] == "quickfix.glossator"]
        assert fix["title"] == 'Fix "undefined" (glossator, local: qwen2.5-coder)'
        assert "isPreferred" not in fix
        assert not any(one["kind"].startswith("source") for one in actions)
        tagged = "tagSupport" in able["textDocument"]["codeAction"]
        assert ("tags" in fix) == tagged
        command = fix["command"]
        await client.request(
            "workspace/executeCommand", {"command": command["command"], "arguments": command["arguments"]}
        )
        run = await application.asked()
        assert run.ask.snapshot.text == TEXT
        assert run.ask.snapshot.path == "/project/café/a.py"
        assert run.ask.snapshot.slice(run.ask.region) == "os_"
        run.route()
        run.propose(WANTED)
        await client.until(lambda: editor.texts[URI] == WANTED)
        await client.notification("$/progress", lambda one: one["value"]["kind"] == "end")
        assert len(editor.edits) == 1
        assert await client.leave() == 0
