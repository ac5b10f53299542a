/** Suggestions for mistyped command lines: spellings of earlier versions, and words of other programs. */

/** @returns What to do instead of the unknown command `word`. */
export function commandHint(word: string): string {
  const instead = Object.hasOwn(COMMANDS, word) ? COMMANDS[word] : undefined
  return instead === undefined ? '`pilotgate --help` lists the commands.' : `Use \`pilotgate ${instead}\`.`
}

/** @returns What to do instead of the unknown option; undefined if nothing better is known than --help. */
export function optionHint(option: string): string | undefined {
  const instead = Object.hasOwn(OPTIONS, option) ? OPTIONS[option] : undefined
  return instead === undefined ? undefined : `Use \`pilotgate ${instead}\`.`
}

const COMMANDS: Readonly<Record<string, string>> = {
  mappings: 'list mappings',
  exposes: 'list exposures',
  exposures: 'list exposures',
  connections: 'list connections',
  peers: 'list peers',
  ls: 'list mappings',
  explain: 'doctor TARGET',
  serve: 'share TARGET',
  connect: 'join TICKET',
  accept: 'join TICKET',
  start: 'up',
  stop: 'down',
  version: '--version',
}

const OPTIONS: Readonly<Record<string, string>> = {
  '--undo': 'resume',
  '--lan': 'share TARGET --lan',
  '--expose': 'drain --exposure NAME',
}
