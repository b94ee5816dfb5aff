"""Make docs/neovim.svg: a real Neovim in tmux, ruff attached, in which Glossator explains a problem and fixes it.

    python docs/record_nvim.py

No model and no network is used: the handbook answers. Needs tmux and the environment of the tests; Neovim is the newest
that `tests/editors/install.sh` brought, or the one on the PATH.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "neovim.svg"
COLUMNS, ROWS = 90, 19
DEADLINE = 60.0  # seconds

CODE = '''"""Read the settings of a service."""

import json
import os
from pathlib import Path


def read(path: Path) -> dict[str, str]:
    """Return the settings, or none where there is no file."""
    if not path.exists():
        return {}
    return json.loads(path.read_text())
'''

CONFIGURATION = """
vim.opt.runtimepath:append({plugin})
vim.opt.termguicolors = true
vim.cmd.colorscheme('retrobox')
vim.api.nvim_set_hl(0, 'NormalFloat', {{ link = 'Normal' }})
vim.api.nvim_set_hl(0, 'FloatBorder', {{ fg = '#7c6f64' }})
vim.api.nvim_set_hl(0, 'FloatTitle', {{ fg = '#8ec07c', bold = true }})
vim.api.nvim_set_hl(0, 'FloatFooter', {{ link = 'FloatTitle' }})
vim.opt.number = true
vim.opt.signcolumn = 'yes'
vim.opt.laststatus = 2
vim.opt.ruler = false
vim.opt.showcmd = false
vim.opt.shortmess:append('IF')
vim.opt.swapfile = false
vim.opt.fillchars = {{ eob = ' ' }}
vim.opt.statusline = " %f%m  %=%{{v:lua.require'glossator'.statusline()}} "
vim.diagnostic.config({{ virtual_text = {{ prefix = '■' }}, underline = true }})
vim.lsp.config('ruff', {{ cmd = {ruff}, filetypes = {{ 'python' }}, root_markers = {{ 'pyproject.toml' }} }})
vim.lsp.config('glossator', {{ cmd = {server} }})
vim.lsp.enable({{ 'ruff', 'glossator' }})
"""

# The background and the text of the colour scheme; everything else comes with its own colour.
THEME = TerminalTheme(
    (28, 28, 28),
    (235, 219, 178),
    [
        (28, 28, 28),
        (251, 73, 52),
        (184, 187, 38),
        (250, 189, 47),
        (131, 165, 152),
        (211, 134, 155),
        (142, 192, 124),
        (235, 219, 178),
    ],
)


class Terminal:
    """A terminal of its own in which keys can be pressed and whose screen can be read."""

    def __init__(self, folder: Path) -> None:
        self._tmux = ("tmux", "-S", str(folder / "tmux"), "-f", "/dev/null")
        self._folder = folder

    def start(self, command: list[str], environment: dict[str, str]) -> None:
        """Run a command in it."""
        subprocess.run(
            [*self._tmux, "new-session", "-d", "-x", str(COLUMNS), "-y", str(ROWS), *command],
            env=environment,
            cwd=self._folder,
            check=True,
        )
        subprocess.run([*self._tmux, "set-option", "-g", "status", "off"], check=True)

    def press(self, *keys: str) -> None:
        """Press keys by their names in tmux; everything else is typed."""
        subprocess.run([*self._tmux, "send-keys", *keys], check=True)

    def screen(self, *, colours: bool) -> str:
        """Return what is on the screen."""
        options = ["-e"] if colours else []
        told = subprocess.run(
            [*self._tmux, "capture-pane", "-p", "-N", *options], check=True, capture_output=True, text=True
        )
        return told.stdout

    def wait_for(self, words: str) -> None:
        """Wait until words are on the screen."""
        self._wait(lambda: words in self.screen(colours=False), f"“{words}” did not come")

    def wait_until_gone(self, words: str) -> None:
        """Wait until words are no longer on the screen."""
        self._wait(lambda: words not in self.screen(colours=False), f"“{words}” stayed")

    def stop(self) -> None:
        """End everything in it."""
        subprocess.run([*self._tmux, "kill-server"], check=False, capture_output=True)

    def _wait(self, condition: Callable[[], bool], complaint: str) -> None:
        end = time.monotonic() + DEADLINE
        while not condition():
            if time.monotonic() > end:
                raise SystemExit(f"{complaint}; the screen was:\n{self.screen(colours=False)}")
            time.sleep(0.1)  # a terminal tells nobody that it has changed
        time.sleep(0.3)  # for what is still being drawn


def main() -> None:
    """Record the picture."""
    nvim = find_nvim()
    with tempfile.TemporaryDirectory(prefix="record-") as name:
        folder = Path(name)
        terminal = Terminal(folder)
        try:
            explained, fixed = record(terminal, folder, nvim)
        finally:
            terminal.stop()
    PICTURE.write_text(draw(explained, fixed), encoding="utf-8")
    print(f"wrote {PICTURE.relative_to(ROOT)}")


def find_nvim() -> str:
    """Return the Neovim to record: 0.11 or newer, whose configuration is the one in README."""
    sys.path.insert(0, str(ROOT / "tests"))
    from editors.neovims import find_neovims

    fit = [one for one in find_neovims() if one.version >= (0, 11)]
    if not fit or shutil.which("tmux") is None:
        raise SystemExit(
            "the recording needs tmux and Neovim 0.11 or newer; `bash tests/editors/install.sh` brings the latter"
        )
    return str(fit[-1].program)


def record(terminal: Terminal, folder: Path, nvim: str) -> tuple[str, str]:
    """Return the screen with the explanation and the screen with the fix."""
    project = folder / "service"
    project.mkdir()
    (project / "settings.py").write_text(CODE)
    (project / "pyproject.toml").write_text('[tool.ruff]\nlint.select = ["F"]\n')
    (folder / "glossator.toml").write_text("")
    server = [sys.executable, "-m", "glossator", "serve"]
    ruff = [str(Path(sys.executable).with_name("ruff")), "server"]
    (folder / "init.lua").write_text(
        CONFIGURATION.format(plugin=lua(str(ROOT / "editors" / "nvim")), ruff=lua(ruff), server=lua(server))
    )
    environment = {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "TERM": "tmux-256color",
        "HOME": str(folder),
        **{f"XDG_{kind}_HOME": str(folder / kind.lower()) for kind in ("CONFIG", "DATA", "STATE", "CACHE")},
        "GLOSSATOR_CONFIG": str(folder / "glossator.toml"),
        "GLOSSATOR_DISCOVERY": "off",
    }
    terminal.start(
        [nvim, "-i", "NONE", "-u", str(folder / "init.lua"), "-c", "cd service", "service/settings.py"], environment
    )
    terminal.wait_for("imported but unused")
    terminal.press("4G", "w")
    terminal.press(":Glossator explain", "Enter")
    terminal.wait_for("explain, ruff")
    terminal.wait_for("Why is this bad")
    explained = terminal.screen(colours=True)
    terminal.press(":Glossator fix", "Enter")
    terminal.wait_until_gone("import os")
    terminal.wait_for("nothing new")
    return explained, terminal.screen(colours=True)


def draw(explained: str, fixed: str) -> str:
    """Return both screens, one under the other, as one picture."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(to_text(explained))
    console.print(Text("─" * COLUMNS, style="#504945"))
    console.print(to_text(fixed))
    picture = console.export_svg(title="Glossator in Neovim", theme=THEME, unique_id="neovim")
    # The font is the reader's own: nothing is fetched to look at the picture.
    return re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)


def to_text(screen: str) -> Text:
    """Read a screen with its colours; styles of underlines are not known to the picture, plain underlines are."""
    plain = re.sub(r"\x1b\[4:\d+m", "\x1b[4m", screen)
    plain = re.sub(r"\x1b\[58[:;][\d:;]*m", "", plain)
    return Text.from_ansi(plain.rstrip("\n"), no_wrap=True)


def lua(value: str | list[str]) -> str:
    """Spell a string or a list of strings in Lua."""
    return json.dumps(value) if isinstance(value, str) else "{ " + ", ".join(json.dumps(one) for one in value) + " }"


if __name__ == "__main__":
    main()
