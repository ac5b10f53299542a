/**
 * Every sub-command of pilotctl, as a table: run against a real daemon and against our driver socket, in the same order and
 * with the same peer beside it. docs/driver.md shows the outcome; driver-socket.test.ts compares and renews it.
 */
import { writeFile } from 'node:fs/promises'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Ran, Stage } from '../e2e/harness.ts'
import { pause } from '../e2e/harness.ts'
import { ROOT } from '../e2e/program.ts'
import { goProgram } from './go.ts'

/** A daemon, or what behaves like one, and a peer of its own. */
export interface PilotctlWorld {
  readonly socket: string
  readonly home: string // where ~/.pilot is
  readonly node: number
  readonly address: string
  readonly peer: { readonly socket: string; readonly home: string; readonly node: number; readonly address: string }
  readonly registry: string
  readonly adminToken: string
  readonly proxy: string
  readonly file: string // to send
  readonly policy: string // file
  readonly blueprint: string // file
}

export interface Row {
  readonly args: string
  /** Done before; what it prints is not compared. */
  readonly before?: string
  /** What the peer's pilotctl does while this one waits, again and again until it ends. */
  readonly meanwhile?: string
  /** Why ours differs, for docs/driver.md; absent: it does not. */
  readonly differs?: string
}

const NO_POLICIES = 'the registry keeps policies, but no node of ours runs them'

/** `PEER`, `NODE` (of the peer), `SELF`, `FILE`, … stand for what the world has. */
export const ROWS: readonly Row[] = [
  { args: 'version' },
  { args: 'info', differs: 'numbers that we do not count are left out' },
  { args: 'health', differs: 'numbers that we do not count are left out' },
  { args: 'daemon status' },
  { args: 'config' },
  { args: 'peers' },
  { args: 'connections' },
  { args: 'lookup NODE' },
  { args: 'lookup 4711' },
  { args: 'find PEERNAME' },
  { args: 'find unknown-name' },
  { args: 'handshake NODE hello' },
  { args: 'pending' },
  { args: 'approve NODE' },
  { args: 'trust' },
  { args: 'reject 4711 no' },
  { args: 'trusted list' },
  { args: 'ping PEER --count 2' },
  { args: 'ping SELF --count 1' },
  { args: 'traceroute PEER' },
  { args: 'bench PEER 1' },
  { args: 'connect PEER 7 --message hi' },
  { args: 'connect PEER 5999 --message hi' },
  { args: 'send PEER 7 --data hi' },
  { args: 'recv 5100 --count 1 --timeout 20s', meanwhile: 'send SELF 5100 --data hi --timeout 1s' },
  { args: 'dgram PEER 4000 --data hi' },
  { args: 'listen 4100 --count 1 --timeout 20s', meanwhile: 'dgram SELF 4100 --data hi' },
  { args: 'send-message PEER --data hello' },
  { args: 'send-message PEER --data hello --count 3 --reuse-conn' },
  { args: 'send-message PEER --data hello --wait 1s' },
  { args: 'send-file PEER FILE' },
  { args: 'publish PEER topic --data hi' },
  { args: 'subscribe PEER topic --count 1 --timeout 20s', meanwhile: 'publish OWN topic --data hi' },
  { args: 'inbox' },
  { args: 'received' },
  { args: 'prefer-direct NODE' },
  { args: 'disconnect 4711' },
  { args: 'set-hostname HOST-x' },
  { args: 'set-hostname Not_A_Name' },
  { args: 'clear-hostname' },
  { args: 'set-hostname HOST' },
  { args: 'set-private' },
  { args: 'set-public' },
  { args: 'extras set-tags a b' },
  { args: 'extras clear-tags' },
  {
    args: 'extras set-webhook http://127.0.0.1:9/',
    differs: 'no webhooks: pilotctl keeps it for later, and says `applied: false`',
  },
  { args: 'extras clear-webhook' },
  { args: 'sign-request --audience example.org --body hello' },
  { args: 'verify-request --envelope ENVELOPE --signature SIGNATURE' },
  { args: 'verify-request --envelope ENVELOPE --signature SIGNATURE --standing' },
  { args: 'network list' },
  { args: 'network create --name HOST-net --join-rule open' },
  { args: 'network join NET' },
  { args: 'network members NET' },
  { args: 'network invite NET NODE' },
  { args: 'network invites' },
  { args: 'network accept NET' },
  { args: 'network reject NET' },
  { args: 'broadcast NET hi' },
  { args: 'extras network role NET MINE' },
  { args: 'extras network policy NET' },
  { args: 'extras network rename NET HOST-web' },
  { args: 'extras network promote NET MINE' },
  { args: 'extras member-tags set --net NET --node MINE --tags x,y' },
  { args: 'extras member-tags get --net NET --node MINE' },
  { args: 'extras policy validate --file POLICY' },
  { args: 'extras policy set --net NET --file POLICY', differs: NO_POLICIES },
  { args: 'extras policy get --net NET', differs: NO_POLICIES },
  { args: 'extras managed status NET', differs: NO_POLICIES },
  { args: 'extras managed cycle --force --net NET', differs: NO_POLICIES },
  { args: 'extras managed reconcile --net NET', differs: NO_POLICIES },
  { args: 'network leave NET' },
  { args: 'extras network delete NET' },
  { args: 'extras audit 0' },
  { args: 'extras idp get' },
  { args: 'extras audit-export get' },
  { args: 'extras provision BLUEPRINT' },
  { args: 'extras provision-status' },
  { args: 'extras directory-status NET' },
  { args: 'verify status' },
  { args: 'verify --badge x --badge-sig y' },
  {
    args: 'recovery enroll --enrollment x --enrollment-sig y',
    differs: 'the registry refuses, before anyone looks at what is enrolled',
  },
  { args: 'recovery new-key' },
  { args: 'register' },
  { args: 'untrust NODE', before: 'untrust NODE' }, // whether the trust has ended by now depends on when the peer polled
  { args: 'rotate-key', differs: 'the key of a gateway is not rotated by its drivers' },
  { args: 'skills status' },
  { args: 'update status' },
  { args: 'updates' },
  { args: 'appstore list' },
  { args: 'appstore catalogue' },
  { args: 'extras gateway list' },
  { args: 'deregister' },
]

/** What a command printed, as far as it does not change from run to run: whether it worked, and the names of what it said. */
export async function outcomes(stage: Stage, world: PilotctlWorld, name: string, peerName: string): Promise<string[]> {
  let network = '1'
  let signed: Readonly<Record<string, unknown>> = {}
  const said: string[] = []
  for (const { args, before, meanwhile } of ROWS) {
    const words: Readonly<Record<string, string>> = {
      PEER: world.peer.address,
      PEERNAME: peerName,
      NODE: String(world.peer.node),
      SELF: world.address,
      OWN: world.peer.address,
      MINE: String(world.node),
      FILE: world.file,
      POLICY: world.policy,
      BLUEPRINT: world.blueprint,
      NET: network,
      ENVELOPE: String(signed['envelope']),
      SIGNATURE: String(signed['signature']),
      HOST: name,
      'HOST-x': `${name}-x`,
      'HOST-net': `${name}-net`,
      'HOST-web': `${name}-web`,
    }
    const fill = (text: string): string[] => text.split(' ').map((word) => words[word] ?? word)
    if (before !== undefined) await run(stage, world, world, fill(before))
    const ran = await withOther(
      run(stage, world, world, fill(args)),
      meanwhile === undefined ? undefined : async () => run(stage, world, world.peer, fill(meanwhile)),
    )
    const answer = answerOf(ran)
    if (args.startsWith('network create')) network = String(dataOf(answer)['network_id'] ?? network)
    if (args.startsWith('sign-request')) signed = dataOf(answer)
    said.push(summary(ran, answer))
  }
  return said
}

/** What waits is not heard from until it has what it waits for, so the other side tries again. */
async function withOther(waiting: Promise<Ran>, other: (() => Promise<unknown>) | undefined): Promise<Ran> {
  if (other === undefined) return await waiting
  for (;;) {
    const ran = await Promise.race([waiting, pause(300)])
    if (ran !== undefined) return ran
    await other()
  }
}

async function run(
  stage: Stage,
  world: PilotctlWorld,
  { socket, home }: { readonly socket: string; readonly home: string },
  args: readonly string[],
): Promise<Ran> {
  return await stage.run(goProgram('pilotctl', 'today'), ['--json', ...args], {
    label: `pilotctl ${args[0] ?? ''}`,
    env: {
      HOME: home,
      PILOT_SOCKET: socket,
      PILOT_REGISTRY: world.registry,
      PILOT_ADMIN_TOKEN: world.adminToken,
      PILOT_NO_SKILLINJECT: '1',
      HTTPS_PROXY: world.proxy,
      HTTP_PROXY: world.proxy,
    },
    timeoutMs: 60_000,
  })
}

type Answer = Readonly<Record<string, unknown>> | undefined

function answerOf({ stdout, stderr }: Ran): Answer {
  const line = [...stdout.split('\n'), ...stderr.split('\n')].find((text) => text.startsWith('{'))
  return line === undefined ? undefined : (JSON.parse(line) as Record<string, unknown>)
}

function dataOf(answer: Answer): Readonly<Record<string, unknown>> {
  const data = answer?.['data']
  return typeof data === 'object' && data !== null ? (data as Record<string, unknown>) : {}
}

function summary({ code, stdout }: Ran, answer: Answer): string {
  if (answer === undefined) return code === 0 ? (stdout.trim() === '' ? 'ok' : 'ok, text') : `exit ${code}`
  if (answer['status'] === 'error') return `${String(answer['code'])}: ${steady(String(answer['message']))}`
  const data = dataOf(answer)
  const names = Object.keys(data).sort()
  const values = SPOKEN.flatMap((name) => (data[name] === undefined ? [] : [`${name} ${JSON.stringify(data[name])}`]))
  return `${code === 0 ? 'ok' : `exit ${code}`}: ${[...names.filter((name) => !SPOKEN.includes(name)), ...values].join(', ')}`
}

/** Without what differs from run to run. */
function steady(text: string): string {
  return text
    .replaceAll(/\bnetwork \d+/g, 'network N')
    .replaceAll(/\bnode \d+/g, 'node N')
    .replaceAll(/0:[0-9A-F]{4}\.[0-9A-F]{4}\.[0-9A-F]{4}/g, 'ADDRESS')
    .replaceAll(/\/tmp\/[^\s"]+/g, 'PATH')
    .replaceAll(/https?:\/\/[^\s"]+/g, 'URL')
    .replaceAll('|', '/')
}

/** Values that say how it went. */
const SPOKEN = ['status', 'complete', 'confirmed', 'verified', 'tagged', 'valid', 'applied', 'engine', 'timeout']

/** The page with the table. */
const PAGE = join(ROOT, 'docs/driver.md')
const BEGIN = '<!-- table: test/interop/pilotctl.ts -->'
const END = '<!-- end of table -->'

export function tableInPage(): string {
  const text = readFileSync(PAGE, 'utf8')
  return text.slice(text.indexOf(BEGIN) + BEGIN.length, text.indexOf(END)).trim()
}

export async function writeTable(table: string): Promise<void> {
  const text = readFileSync(PAGE, 'utf8')
  const [before, after] = [text.slice(0, text.indexOf(BEGIN) + BEGIN.length), text.slice(text.indexOf(END))]
  await writeFile(PAGE, `${before}\n${table}\n${after}`)
}

export function tableOf(real: readonly string[], ours: readonly string[]): string {
  const rows = ROWS.map(
    ({ args, differs }, index) =>
      `| \`${args}\` | ${real[index]} | ${ours[index] === real[index] ? 'the same' : ours[index]} | ${differs ?? ''} |`,
  )
  return ['| pilotctl | A daemon of 1.18 | Our driver socket | Why |', '|---|---|---|---|', ...rows].join('\n')
}
