/** Suggestions for mistyped command lines: spellings of earlier versions, and words of other programs. */

/**
 * @param rest the words after it.
 * @returns What to do instead of the unknown command `word`.
 */
export function commandHint(word: string, rest: readonly string[]): string {
  if (Object.hasOwn(ADVICE, word)) return ADVICE[word]!
  const instead = Object.hasOwn(COMMANDS, word) ? COMMANDS[word] : guessed(word, rest)
  return instead === undefined ? '`pilotgate --help` lists the commands.' : use(instead, rest)
}

/** @returns What to do instead of the unknown option; undefined if nothing better is known than --help. */
export function optionHint(option: string, rest: readonly string[]): string | undefined {
  const instead = Object.hasOwn(OPTIONS, option) ? OPTIONS[option] : undefined
  return instead === undefined ? undefined : use(instead, rest)
}

/** No command at all, but something that one takes. */
function guessed(word: string, rest: readonly string[]): Instead | undefined {
  if (/^\d+$/.test(word) || word.startsWith('./') || /^https?:/.test(word)) return shared([word])
  if (word.startsWith('pgt1_')) return ['join TICKET', ...rest].join(' ') // a secret: not repeated
  if (/:\d+$/.test(word)) return `map ${word}`
  return rest[0] === '-L' ? tunnelled([rest[1] ?? '', word]) : undefined
}

type Instead = string | ((rest: readonly string[]) => string)

/** With the words of the command line where they fit; a placeholder stands for what is missing. */
function use(instead: Instead, rest: readonly string[]): string {
  const words = rest.filter((word) => !word.startsWith('-'))
  return `Use \`pilotgate ${typeof instead === 'string' ? instead : instead(words)}\`.`
}

const shared = ([target]: readonly string[]): string =>
  `share ${/:(\d+)\/?$/.exec(target ?? '')?.[1] ?? target ?? 'PORT'}`

/** kubectl: `port-forward pod/agent-b 8080:80`; or a map spec. */
const forwarded = ([peer = 'PEER', ports = 'PORT']: readonly string[]): string => {
  if (/:\d+$/.test(peer)) return `map ${peer}`
  const [local, remote = local] = ports.split(':')
  return `map ${local}:${peer.replace(/^.*\//, '')}:${remote}`
}

/** ssh: `-L 8080:localhost:80 agent-b`, or a map spec. */
const tunnelled = ([spec = '', peer]: readonly string[]): string => {
  const [, local, remote] = /^(.*):[^:]+:(\d+)$/.exec(spec) ?? []
  return local === undefined
    ? 'map LOCAL-PORT:PEER:PORT'
    : `map ${peer === undefined ? spec : `${local}:${peer}:${remote}`}`
}

const COMMANDS: Readonly<Record<string, Instead>> = {
  mappings: 'list mappings',
  exposes: 'list exposures',
  exposures: 'list exposures',
  connections: 'list connections',
  peers: 'list peers',
  ls: 'list mappings',
  ps: 'list connections',
  explain: 'doctor TARGET',
  netcheck: 'doctor',
  diagnose: 'doctor',
  serve: shared,
  funnel: shared,
  http: shared,
  tcp: shared,
  publish: shared,
  tunnel: shared,
  listen: shared,
  'listen-tcp': shared,
  forward: forwarded,
  'port-forward': forwarded,
  connect: ([target]) => (target === undefined || target.startsWith('pgt1_') ? 'join TICKET' : `map ${target}`),
  'connect-tcp': 'join TICKET',
  accept: 'join TICKET',
  redeem: 'join TICKET',
  start: 'up',
  stop: 'down',
  info: 'status',
  approve: ([peer = 'PEER']) => `trust approve ${peer}`,
  request: ([peer = 'PEER']) => `trust request ${peer}`,
  revoke: ([peer = 'PEER']) => `trust revoke ${peer}`,
  pending: 'trust pending',
  init: 'config init gateway.yaml',
  check: ([file = 'FILE']) => `config check ${file}`,
  nodes: 'rendezvous nodes',
  networks: 'rendezvous networks',
  audit: 'rendezvous audit',
  server: 'rendezvous',
  registry: 'rendezvous',
  version: '--version',
}

/** Where no command fits. */
const ADVICE: Readonly<Record<string, string>> = {
  logs: 'A gateway logs to stderr (-v: more). Under systemd: `journalctl -u pilotgate`.',
  login: 'There is no account: `pilotgate up` joins a rendezvous, and `pilotgate share PORT` needs none.',
  logout: 'There is no account; `pilotgate down` ends the gateway.',
}

const OPTIONS: Readonly<Record<string, Instead>> = {
  '--undo': 'resume',
  '--lan': 'share TARGET --lan',
  '--expose': 'drain --exposure NAME',
  '-L': tunnelled,
  '--url': shared,
}
