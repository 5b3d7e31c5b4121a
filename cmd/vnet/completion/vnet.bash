# bash completion for vnet; load it with: source <(vnet completion bash)
_vnet() {
	mapfile -t COMPREPLY < <(vnet "${COMP_WORDS[@]:1:COMP_CWORD}" --generate-bash-completion 2>/dev/null)
	case ${COMP_WORDS[1]} in
	check | plan | up | keep | down | status | verify | doctor | graph)
		mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")
		;;
	esac
}
complete -o default -o bashdefault -F _vnet vnet
