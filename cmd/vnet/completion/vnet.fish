# fish completion for vnet; load it with: vnet completion fish | source
function __vnet_complete
	set -l before (commandline -opc)
	set -l word (commandline -ct)
	vnet $before[2..-1] "$word" --generate-bash-completion 2>/dev/null
end
function __vnet_takes_files
	contains -- (commandline -opc)[2] check plan up keep down status verify doctor graph exec netns
end
complete -c vnet -n 'not __vnet_takes_files' -f
complete -c vnet -a '(__vnet_complete)'
