/**
 * What shells are told. Each script asks `wherry completion words -- WORD...` and shows what fits: one candidate a line, a
 * tab, what it means; a line that is only a colon says that files fit, too.
 */

/** The shells. */
export const SHELLS = ["bash", "zsh", "fish"] as const;

/** One of them. */
export type Shell = typeof SHELLS[number];

/**
 * Bash cuts words at `:` and `=`, which names of images are full of: the words are read from the line, and what stands
 * before the last cut is taken off again.
 */
const BASH = `# wherry completion for bash
_wherry() {
  local line=\${COMP_LINE:0:COMP_POINT} word about current cut
  local -a words
  read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=("")
  current=\${words[\${#words[@]}-1]}
  cut=\${current%"\${current##*[:=]}"}
  COMPREPLY=()
  while IFS=$'\\t' read -r word about; do
    if [[ $word == : ]]; then
      compopt -o default 2>/dev/null
    elif [[ $word == "$current"* ]]; then
      COMPREPLY+=("\${word#"$cut"}")
    fi
  done < <("\${words[0]}" completion words -- "\${words[@]:1}" 2>/dev/null)
}
complete -F _wherry wherry
`;

const ZSH = `#compdef wherry
# wherry completion for zsh
_wherry() {
  local line files
  local -a found
  for line in "\${(@f)$("\${words[1]}" completion words -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    if [[ $line == : ]]; then
      files=1
    elif [[ -n $line ]]; then
      found+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}")
    fi
  done
  (( \${#found} )) && _describe -V wherry found
  [[ -n $files ]] && _files
}
if [[ \${funcstack[1]} == _wherry ]]; then _wherry "$@"; else compdef _wherry wherry; fi
`;

const FISH = `# wherry completion for fish
function __wherry_complete
  set -l words (commandline -opc) (commandline -ct)
  for line in (command $words[1] completion words -- $words[2..-1] 2>/dev/null)
    if test "$line" = :
      __fish_complete_path (commandline -ct)
    else
      echo $line
    end
  end
end
complete -c wherry -f -a '(__wherry_complete)'
`;

/** The script of a shell. */
export function completionScript(shell: Shell): string {
  return { bash: BASH, zsh: ZSH, fish: FISH }[shell];
}
