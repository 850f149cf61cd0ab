"""completion bash, zsh, fish: the scripts that shells load."""

from sanbashi.cli.command import Call, Command
from sanbashi.cli.output import out

BASH = """# bash completion for sanbashi
_sanbashi() {
    local words=("${COMP_WORDS[@]:1:COMP_CWORD}")
    mapfile -t COMPREPLY < <(sanbashi __complete "${words[@]}" 2>/dev/null)
    [ "${#COMPREPLY[@]}" -eq 0 ] && compopt -o default
}
complete -F _sanbashi sanbashi
"""
ZSH = """#compdef sanbashi
_sanbashi() {
    local -a found
    found=(${(f)"$(sanbashi __complete "${(@)words[2,CURRENT]}" 2>/dev/null)"})
    if (( $#found )); then compadd -a found; else _files; fi
}
compdef _sanbashi sanbashi
"""
FISH = """# fish completion for sanbashi
function __sanbashi_complete
    set -l words (commandline -opc) (commandline -ct)
    sanbashi __complete $words[2..-1] 2>/dev/null
end
complete -c sanbashi -f -a '(__sanbashi_complete)'
complete -c sanbashi -n 'test -z "(__sanbashi_complete)"' -F
"""


def _printing(script: str) -> Command:
    def run(call: Call) -> None:
        out(script)

    return Command("", run, most=0)


COMMANDS = {"bash": _printing(BASH), "zsh": _printing(ZSH), "fish": _printing(FISH)}
