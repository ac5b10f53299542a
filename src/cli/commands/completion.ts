/**
 * `pilotgate completion SHELL`: a script that completes commands, options, files, and the names that the running gateway
 * has, made from the commands themselves.
 */
import { Option, type Command } from 'commander'
import { PilotError } from '../../base/errors.ts'
import type { AdminClient } from '../../admin/client.ts'
import type { Cli } from '../cli.ts'
import type { World } from '../world.ts'
import { clientOf } from './reader.ts'

export function addCompletion(cli: Cli): void {
  cli
    .add(cli.program, 'completion <shell>', 'print a completion script for bash, zsh or fish', [
      'source <(pilotgate completion bash)',
      'pilotgate completion zsh > ~/.zfunc/_pilotgate',
      'pilotgate completion fish > ~/.config/fish/completions/pilotgate.fish',
    ])
    .addOption(new Option('--list <kind>', 'print names for the script, one per line').hideHelp())
    .action(
      cli.action(async (out, shell: string, { list: kind }: { readonly list?: string }) => {
        if (kind !== undefined) return printNames(cli.world, kind)
        const write = Object.hasOwn(SHELLS, shell) ? SHELLS[shell] : undefined
        if (write === undefined)
          throw new PilotError('USAGE', `completion "${shell}": expected ${Object.keys(SHELLS).join(', ')}`)
        const text = write(placesOf(cli.program, ''))
        out.result({ shell, text }, [text])
      }),
    )
}

/** For a shell at a Tab: nothing is better than an error. */
async function printNames(world: World, kind: string): Promise<void> {
  const read = Object.hasOwn(NAMES, kind) ? NAMES[kind] : undefined
  if (read === undefined) throw new PilotError('USAGE', `--list "${kind}": expected ${Object.keys(NAMES).join(', ')}`)
  const names = await read(clientOf({}, world)).catch(() => [])
  for (const name of new Set(names)) if (/^[\w.:/|[\]-]+$/.test(name)) world.out(`${name}\n`) // nothing that a shell could read
}

const NAMES: Readonly<Record<string, (client: AdminClient) => Promise<readonly string[]>>> = {
  mappings: async (client) => (await client.mappings()).map(({ name }) => name),
  exposures: async (client) => (await client.exposures()).map(({ name }) => name),
  peers: async (client) => (await client.peers()).map(nameOf),
  trusted: async (client) => (await client.trusted()).map(nameOf),
  pending: async (client) => (await client.pending()).map(nameOf),
}

function nameOf({ hostname, address }: { readonly hostname: string | null; readonly address: string }): string {
  return hostname ?? address
}

/** What the first argument of a command, or the value of an option, is. Other arguments are files, as shells assume. */
const KIND_AT: Readonly<Record<string, string>> = {
  ' unmap': 'mappings',
  ' unexpose': 'exposures',
  ' ping': 'peers',
  ' bench': 'peers',
  ' doctor': 'peers',
  ' list services': 'peers',
  ' trust approve': 'pending',
  ' trust reject': 'pending',
  ' trust revoke': 'trusted',
}
const KIND_OF_OPTION: Readonly<Record<string, string>> = { '--exposure': 'exposures', '--service': 'exposures' }

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

/** Options whose value follows: not the place for another option. */
function withValue(places: readonly Place[]): string[] {
  const words = places.flatMap((place) => place.words).filter(({ takesValue }) => takesValue === true)
  return [...new Set(words.flatMap(({ text, short }) => (short === undefined ? [text] : [text, short])))]
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
  const values = at === ' completion' ? Object.keys(SHELLS).map((text): Word => ({ text, about: 'shell' })) : []
  return [
    { at, words: [...commands, ...values, ...options] },
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
  case "\${COMP_WORDS[COMP_CWORD-1]}" in
${options(KIND_OF_OPTION, (option, kind) => `    ${option}) words=$(pilotgate completion bash --list ${kind} 2>/dev/null); at=- ;;`)}
    ${withValue(places).join('|')}) return ;;
  esac
  case "$at" in
${places.map(({ at, words }) => `    ${quoted(at)}) words=${quoted(words.map(({ text }) => text).join(' '))} ;;`).join('\n')}
  esac
  case "$at" in
${options(KIND_AT, (at, kind) => `    ${quoted(at)}) words="$words $(pilotgate completion bash --list ${kind} 2>/dev/null)" ;;`)}
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
  local -a items names
  for ((i = 2; i < CURRENT; i++)); do
    case "$at \${words[i]}" in
      (${pathsOf(places, '|')}) at="$at \${words[i]}" ;;
    esac
  done
  case "\${words[CURRENT-1]}" in
${options(KIND_OF_OPTION, (option, kind) => `    (${option}) names=("\${(@f)$(pilotgate completion zsh --list ${kind} 2>/dev/null)}"); compadd -a names; return ;;`)}
    (${withValue(places).join('|')}) _files; return ;;
  esac
  case "$at" in
${options(KIND_AT, (at, kind) => `    (${quoted(at)}) names=("\${(@f)$(pilotgate completion zsh --list ${kind} 2>/dev/null)}"); compadd -a names ;;`)}
  esac
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
${places.flatMap(({ at, words }) => words.map((word) => line(at, word))).join('\n')}
${options(KIND_AT, (at, kind) => `complete -c pilotgate -n "__pilotgate_at '${at}'" -f -a '(pilotgate completion fish --list ${kind} 2>/dev/null)'`)}
${options(KIND_OF_OPTION, (option, kind) => `complete -c pilotgate -l ${option.slice(2)} -x -a '(pilotgate completion fish --list ${kind} 2>/dev/null)'`)}`
}

function options(kinds: Readonly<Record<string, string>>, line: (key: string, kind: string) => string): string {
  return Object.entries(kinds)
    .map(([key, kind]) => line(key, kind))
    .join('\n')
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
