"""completion bash, zsh, fish: the scripts that shells load."""

from sanbashi.cli.command import Call, Command
from sanbashi.cli.output import out

# bash takes a colon or an equals sign for the end of a word; httpd:2.4 is one word here, and what is offered for it begins after its last colon.
BASH = r"""# bash completion for sanbashi
_sanbashi() {
    local line=${COMP_LINE:0:COMP_POINT} words=() begun
    read -ra words <<< "$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    begun=${words[-1]}
    mapfile -t COMPREPLY < <(sanbashi __complete "${words[@]:1}" 2>/dev/null)
    if [ "${#COMPREPLY[@]}" -eq 0 ]; then
        compopt -o default
    elif [[ $COMP_WORDBREAKS == *:* && $begun == *:* ]]; then
        COMPREPLY=("${COMPREPLY[@]#"${begun%:*}:"}")
    fi
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
