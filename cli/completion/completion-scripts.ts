// Completion for the shells. Each script asks the program itself, so that a script is good for later versions too. Pure.

const PROGRAM = 'kubectl-invalid_drop';

/** kubectl asks a program of this name (kubernetes.io, "kubectl plugins"): put it into PATH beside the plugin. */
const kubectl = `#!/bin/sh
# kubectl_complete-invalid_drop: kubectl asks it what may follow "kubectl invalid-drop".
exec ${PROGRAM} __complete "$@"
`;

const bash = `# bash completion of ${PROGRAM}: source <(kubectl invalid-drop completion bash)
_kubectl_invalid_drop() {
  local line
  COMPREPLY=()
  while IFS= read -r line; do
    case "$line" in :*) ;; *) COMPREPLY+=("\${line%%$'\\t'*}") ;; esac
  done < <(${PROGRAM} __complete "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _kubectl_invalid_drop ${PROGRAM}
`;

const zsh = `#compdef ${PROGRAM}
# zsh completion of ${PROGRAM}: source <(kubectl invalid-drop completion zsh)
_kubectl_invalid_drop() {
  local line tab=$'\\t'
  local -a found
  while IFS= read -r line; do
    [[ $line == :* ]] && continue
    line=\${line//:/\\\\:}
    found+=("\${line/$tab/:}")
  done < <(${PROGRAM} __complete "\${(@)words[2,CURRENT]}" 2>/dev/null)
  _describe 'invalid-drop' found
}
compdef _kubectl_invalid_drop ${PROGRAM}
`;

const fish = `# fish completion of ${PROGRAM}: kubectl invalid-drop completion fish | source
function __kubectl_invalid_drop
  set -l words (commandline -opc) (commandline -ct)
  ${PROGRAM} __complete $words[2..-1] 2>/dev/null | string match -v ':*'
end
complete -c ${PROGRAM} -f -a '(__kubectl_invalid_drop)'
`;

const powershell = `# PowerShell completion of ${PROGRAM}: kubectl invalid-drop completion powershell | Out-String | Invoke-Expression
Register-ArgumentCompleter -Native -CommandName '${PROGRAM}' -ScriptBlock {
  param($word, $ast, $position)
  $words = @($ast.CommandElements | Select-Object -Skip 1 | ForEach-Object { $_.ToString() })
  if ($word -eq '') { $words += '' }
  & ${PROGRAM} __complete @words 2>$null | Where-Object { $_ -notmatch '^:' } | ForEach-Object {
    $name, $text = $_ -split "\`t", 2
    [System.Management.Automation.CompletionResult]::new($name, $name, 'ParameterValue', $(if ($text) { $text } else { $name }))
  }
}
`;

export const COMPLETION_SCRIPTS: Record<string, string> = { bash, zsh, fish, powershell, kubectl };
