"""Every command that the documentation prints is run, in order, in a copy of the repository.

A command is a line `$ ...` in a fenced block marked `console` or `sh`, with its continuations after a
backslash. Each document gets a copy of its own, so that a page may build on what it did before and nothing is
left in the tree. Comments of HTML directly before a block say more:

    <!-- file: PATH -->          the block is the content of a file: it is written, not run
    <!-- not run: REASON -->     the block is not run, and why
    <!-- needs: PROGRAM ... -->  skipped where one of these programs is absent (a failure on CI)
    <!-- exit code: N -->        the last command of the block ends with N; every other one with 0
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.real_time

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SHELLS = {"console", "sh", "bash", "shell"}
BLOCK = re.compile(
    r"(?P<notes>(?:^<!--[^\n]*-->\n\n?)*)^```(?P<language>\w+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL
)
NOTE = re.compile(r"<!-- (?P<kind>file|not run|needs|exit code): (?P<value>.+?) -->")

# Run by CI itself, and not from here: they would start this test again, or make the environment it runs in.
RUN_BY_CI = {"make test", "make lint", "make setup", "bash .ci/run"}


@dataclass(frozen=True, kw_only=True)
class Block:
    """The commands of one fenced block, or the file that it is the content of."""

    commands: tuple[str, ...] = ()
    file: str = ""
    content: str = ""
    not_run: str = ""
    needs: tuple[str, ...] = ()
    exit_code: int = 0


def blocks(markdown: str) -> list[Block]:
    """Return the blocks of a document that hold commands.

    Raises ValueError for a shell block without a `$ ` line, and for a comment that looks like a note but is
    none: either would go unseen.
    """
    found = []
    for match in BLOCK.finditer(markdown):
        notes = {note["kind"]: note["value"] for note in NOTE.finditer(match["notes"])}
        if match["notes"].count("<!--") != len(notes):
            raise ValueError(f"not a note about a block: {match['notes']}")
        if "file" in notes:
            found.append(Block(file=notes["file"], content=match["body"]))
        elif match["language"] in SHELLS:
            found.append(_shell_block(match["body"], notes))
    return found


def _shell_block(body: str, notes: dict[str, str]) -> Block:
    commands = _commands(body)
    if not commands:
        raise ValueError(f"a block without a line that begins with '$ ':\n{body}")
    return Block(
        commands=commands,
        not_run=notes.get("not run", ""),
        needs=tuple(notes.get("needs", "").split()),
        exit_code=int(notes.get("exit code", "0")),
    )


def _commands(body: str) -> tuple[str, ...]:
    joined = body.replace("\\\n", " ")
    return tuple(line.removeprefix("$ ") for line in joined.splitlines() if line.startswith("$ "))


def _copy_of_repository(target: Path) -> None:
    # The copy has no .venv of its own: a link to this one, which tools/setup.sh leaves as it is.
    keep_out = shutil.ignore_patterns(
        ".git", ".venv", ".*_cache", "__pycache__", ".hypothesis", "20*Z-*", "build"
    )
    shutil.copytree(ROOT, target, ignore=keep_out, symlinks=True)
    (target / ".venv").symlink_to(sys.prefix)


def _run(command: str, directory: Path) -> subprocess.CompletedProcess[str]:
    # In the order of a shell with .venv activated; nothing of the caller's settings for callpath or make.
    own = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("CALLPATH_", "MAKE", "MFLAGS", "ARGS"))
    }
    path = f"{sys.prefix}/bin{os.pathsep}{own['PATH']}"
    return subprocess.run(
        ["bash", "-c", command],
        cwd=directory,
        env=own | {"PATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.timeout(900)
@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_commands_of_a_document_work(document, tmp_path):
    to_run = [block for block in blocks(document.read_text(encoding="utf-8")) if not block.not_run]
    absent = sorted({program for block in to_run for program in block.needs if shutil.which(program) is None})
    if absent:
        pytest.skip(f"{document.name} needs {', '.join(absent)}, not installed")
    if not any(block.commands for block in to_run):
        return  # most pages of explanation print none
    copy = tmp_path / "callpath"
    _copy_of_repository(copy)
    for block in to_run:
        if block.file:
            (copy / block.file).parent.mkdir(parents=True, exist_ok=True)
            (copy / block.file).write_text(block.content, encoding="utf-8")
        for command in block.commands:
            if command in RUN_BY_CI:
                continue
            expected = block.exit_code if command == block.commands[-1] else 0
            finished = _run(command, copy)
            assert finished.returncode == expected, (
                f"{document.name}: $ {command}\n"
                f"ended with {finished.returncode}, not {expected}:\n{finished.stdout[-4000:]}"
            )


SAMPLE = """
Some text.

<!-- not run: needs root -->
```console
$ apt-get install make
```

<!-- needs: sh no-such-program -->
<!-- exit code: 1 -->
```sh
$ true \\
    --long
output that is no command
$ false
```

```yaml
name: $ not a command
```

<!-- file: scenarios/own.py -->
```python
CALLS = 1
```
"""


def test_commands_and_notes_are_read():
    assert blocks(SAMPLE) == [
        Block(commands=("apt-get install make",), not_run="needs root"),
        Block(commands=("true      --long", "false"), needs=("sh", "no-such-program"), exit_code=1),
        Block(file="scenarios/own.py", content="CALLS = 1\n"),
    ]


@pytest.mark.parametrize(
    "unseen",
    [
        "```console\ncallpath run\n```\n",
        "<!-- not run -->\n```sh\n$ rm x\n```\n",
        "<!-- skip: x -->\n```sh\n$ a\n```\n",
    ],
)
def test_a_block_that_would_go_unseen_is_refused(unseen):
    with pytest.raises(ValueError, match=r"begins with|not a note"):
        blocks(unseen)


def test_a_command_that_fails_fails_the_test(tmp_path):
    page = ROOT / "docs" / "README.md"
    sample = tmp_path / page.name
    sample.write_text("```console\n$ callpath no-such-command\n```\n")
    with pytest.raises(AssertionError, match="ended with"):
        test_the_commands_of_a_document_work(sample, tmp_path)
