"""`hail-study completion`."""

import argparse
from collections.abc import Mapping
from typing import Final

from hail_study.commands.exits import DONE

EXAMPLES: Final = """\
examples:
  eval "$(hail-study completion bash)"                                    in ~/.bashrc
  eval "$(hail-study completion zsh)"                                     in ~/.zshrc, after compinit
  hail-study completion fish > ~/.config/fish/completions/hail-study.fish
"""

_BASH: Final = """\
_hail_study() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" words
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W "{commands}" -- "$word")); return
    fi
    case "${{COMP_WORDS[1]}}" in
{cases}
    esac
    COMPREPLY=($(compgen -W "$words" -- "$word") $(compgen -f -- "$word"))
}}
complete -o filenames -F _hail_study hail-study
"""


def options(parser: argparse.ArgumentParser) -> None:
    """Which shell."""
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))


def run(arguments: argparse.Namespace) -> int:
    """Print the script."""
    from hail_study.commands import COMMANDS, parser

    words = {name: _words(parser(name)) for name in COMMANDS}
    if arguments.shell == "fish":
        print(_fish(COMMANDS, words), end="")
    else:
        print(("autoload -U bashcompinit; bashcompinit\n" if arguments.shell == "zsh" else "") + _bash(words), end="")
    return DONE


def _words(parser: argparse.ArgumentParser) -> list[str]:
    """Options of a command, and the words its first argument may be."""
    found: list[str] = []
    for action in parser._actions:
        found += [option for option in action.option_strings if option.startswith("--")]
        if action.choices and not action.option_strings:
            found += [str(choice) for choice in action.choices]
    return found


def _bash(words: Mapping[str, list[str]]) -> str:
    cases = "\n".join(f'        {name}) words="{" ".join(found)}" ;;' for name, found in words.items())
    return _BASH.format(commands=" ".join(words), cases=cases)


def _fish(summaries: Mapping[str, str], words: Mapping[str, list[str]]) -> str:
    lines = []
    for name, summary in summaries.items():
        text = summary.replace("'", "\\'")
        lines.append(f"complete -c hail-study -n __fish_use_subcommand -a {name} -d '{text}'")
        for word in words[name]:
            form = f"-l {word[2:]}" if word.startswith("--") else f"-a {word}"
            lines.append(f"complete -c hail-study -n '__fish_seen_subcommand_from {name}' {form}")
    return "\n".join(lines) + "\n"
