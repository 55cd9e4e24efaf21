# etc/completions/reportd.bash -- what bash completes for reportd and reportctl: what their help names.
# It asks the programs themselves, so a new verb or option is completed as soon as there is one.

_reportd_options() { # PROGRAM [VERB]
    "$@" --help 2>/dev/null | sed -nE 's/^ +(-[a-z], )?(--[a-z-]+).*/\1\2/p' | tr -d ','
}

_reportd_verbs() { # PROGRAM [VERB]: one that has actions says so in its usage: ACTION, or one|other
    "$@" --help 2>/dev/null | sed -nE '/^usage: [a-z]+ .*(VERB|COMMAND|ACTION)/,$s/^  ([a-z][a-z-]*)( .*)?$/\1/p
        s/^usage: .* ([a-z]+(\|[a-z]+)+)( .*)?$/\1/p' | tr '|' '\n'
}

_reportd() {
    local program=${COMP_WORDS[0]/#\~/$HOME} word=${COMP_WORDS[COMP_CWORD]} words
    local verb=("${COMP_WORDS[@]:1:COMP_CWORD > 1 ? 1 : 0}")
    if [[ $word == -* ]]; then
        words=$(_reportd_options "$program" "${verb[@]}")
    elif ((COMP_CWORD <= 2)); then
        words=$(_reportd_verbs "$program" "${verb[@]}")
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}

complete -o default -F _reportd reportd reportctl
