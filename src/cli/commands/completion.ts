/** `pilotgate completion SHELL`: a script that completes commands and options, made from the commands themselves. */
import type { Command } from 'commander'
import { PilotError } from '../../base/errors.ts'
import type { Cli } from '../cli.ts'

export function addCompletion(cli: Cli): void {
  cli
    .add(cli.program, 'completion <shell>', 'print a completion script for bash, zsh or fish', [
      'source <(pilotgate completion bash)',
      'pilotgate completion zsh > ~/.zfunc/_pilotgate',
      'pilotgate completion fish > ~/.config/fish/completions/pilotgate.fish',
    ])
    .action(
      cli.action(async (out, shell: string) => {
        const write = Object.hasOwn(SHELLS, shell) ? SHELLS[shell] : undefined
        if (write === undefined)
          throw new PilotError('USAGE', `completion "${shell}": expected ${Object.keys(SHELLS).join(', ')}`)
        const text = write(placesOf(cli.program, ''))
        out.result({ shell, text }, [text])
      }),
    )
}

/** What can follow a command: `at` is '' for the program, ' trust list' for that command. */
interface Place {
  readonly at: string
  readonly words: readonly Word[]
}

interface Word {
  readonly text: string
  readonly about: string
  readonly short?: string // of an option: -c
  readonly takesValue?: boolean
}

function placesOf(command: Command, at: string): Place[] {
  const help = command.createHelp()
  const commands = help
    .visibleCommands(command)
    .filter((child) => child.name() !== 'help')
    .map((child): Word => ({ text: child.name(), about: child.description() }))
  const options = [...help.visibleOptions(command), ...(at === '' ? [] : help.visibleGlobalOptions(command))].map(
    (option): Word => ({
      text: option.long ?? option.short!,
      about: option.description,
      takesValue: option.required || option.optional,
      ...(option.long !== undefined && option.short !== undefined && { short: option.short }),
    }),
  )
  return [
    { at, words: [...commands, ...options] },
    ...command.commands
      .filter((child) => child.name() !== 'help')
      .flatMap((child) => placesOf(child, `${at} ${child.name()}`)),
  ]
}

function bash(places: readonly Place[]): string {
  return `# bash completion for pilotgate: source <(pilotgate completion bash)
_pilotgate () {
  local at= i words
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$at \${COMP_WORDS[i]}" in
      ${pathsOf(places, '|')}) at="$at \${COMP_WORDS[i]}" ;;
    esac
  done
  case "$at" in
${places.map(({ at, words }) => `    ${quoted(at)}) words=${quoted(words.map(({ text }) => text).join(' '))} ;;`).join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _pilotgate pilotgate`
}

function zsh(places: readonly Place[]): string {
  const item = ({ text, about }: Word): string => quoted(`${text}:${about.replaceAll(':', '\\:')}`)
  return `#compdef pilotgate
_pilotgate () {
  local at= i
  local -a items
  for ((i = 2; i < CURRENT; i++)); do
    case "$at \${words[i]}" in
      (${pathsOf(places, '|')}) at="$at \${words[i]}" ;;
    esac
  done
  case "$at" in
${places.map(({ at, words }) => `    (${quoted(at)}) items=(${words.map(item).join(' ')}) ;;`).join('\n')}
  esac
  _describe pilotgate items || _files
}
if [ "$funcstack[1]" = _pilotgate ]; then _pilotgate "$@"; else compdef _pilotgate pilotgate; fi`
}

function fish(places: readonly Place[]): string {
  const line = (at: string, { text, about, short, takesValue }: Word): string => {
    const what = text.startsWith('--')
      ? `-l ${text.slice(2)}${short === undefined ? '' : ` -s ${short.slice(1)}`}${takesValue === true ? ' -r' : ''}`
      : `-f -a ${text}`
    return `complete -c pilotgate -n "__pilotgate_at '${at}'" ${what} -d ${quoted(about)}`
  }
  return `# fish completion for pilotgate
function __pilotgate_at
  set -l words (commandline -opc)
  set -l at ''
  for word in $words[2..-1]
    contains -- "$at $word" ${pathsOf(places, ' ')}; and set at "$at $word"
  end
  test "$at" = "$argv[1]"
end
${places.flatMap(({ at, words }) => words.map((word) => line(at, word))).join('\n')}`
}

function pathsOf(places: readonly Place[], separator: string): string {
  return places
    .filter(({ at }) => at !== '')
    .map(({ at }) => quoted(at))
    .join(separator)
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", '’')}'` // typographic: no shell interprets it
}

const SHELLS: Readonly<Record<string, (places: readonly Place[]) => string>> = { bash, zsh, fish }
