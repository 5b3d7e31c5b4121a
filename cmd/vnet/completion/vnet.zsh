#compdef vnet
# zsh completion for vnet; load it with: source <(vnet completion zsh)
_vnet() {
	local -a found
	found=("${(@f)$(vnet "${(@)words[2,CURRENT]}" --generate-bash-completion 2>/dev/null)}")
	if [[ -n "${found[1]}" ]]; then
		compadd -- "${found[@]}"
	fi
	if [[ -z "${found[1]}" || "${words[2]}" == (check|plan|up|keep|down|status|verify|doctor|graph) ]]; then
		_files
	fi
}
# zsh runs this file as the function _vnet if it is in a folder of fpath.
if [[ "${funcstack[1]}" == _vnet ]]; then
	_vnet "$@"
else
	compdef _vnet vnet
fi
