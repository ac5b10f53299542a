/**
 * What must hold whenever a process dies or several start: acknowledged state survives, and exclusive resources have
 * one owner. No load.
 */
import { spawnSync } from 'node:child_process'
import { createIdentity } from '../../../src/crypto/identity.ts'
import type { TrustRecord } from '../../../src/gateway/model/records.ts'
import { eventually, pair, Rendezvous } from '../../e2e/harness.ts'
import type { Stage } from '../../e2e/harness.ts'
import { echo } from '../../e2e/servers.ts'
import { askRegistry } from '../../interop/ask-registry.ts'
import type { FactResult, FactRow, Random } from '../row.ts'
import { pause } from '../world.ts'

export const FACT_ROWS: readonly FactRow[] = [
  {
    name: 'registry-kills',
    what: 'the registry is killed 20 times during registrations: everything it acknowledged survives',
    fact: registryKills,
  },
  {
    name: 'revoke-then-kill',
    what: 'kill -9 right after the answer to a revocation, five times: it is still revoked',
    fact: revokeThenKill,
  },
  {
    name: 'one-ticket-four-guests',
    what: 'four guests use one ticket at once: one is admitted',
    fact: oneTicket,
  },
  {
    name: 'one-folder',
    what: 'four gateways start on one state folder at once, eight rounds: one runs each time',
    fact: oneFolder,
  },
]

async function registryKills(stage: Stage, random: Random): Promise<FactResult> {
  const rendezvous = await Rendezvous.start(stage)
  const known = new Map<string, number>() // public key → node id
  const problems: string[] = []
  let number = random(1_000_000)
  for (let round = 0; round < 20; round++) {
    const killAt = performance.now() + 100 + random(500)
    // Each round uses another loopback address: registrations are rate-limited by source.
    const source = `127.0.${1 + round}.${1 + random(250)}`
    const killed = pause(killAt - performance.now()).then(() => rendezvous.program.kill())
    while (performance.now() < killAt) {
      const { publicKeyBase64: key } = createIdentity(seedOf(number++))
      const reply = await askRegistry(rendezvous.registry, { type: 'register', public_key: key }, source).catch(
        () => ({}),
      )
      if ('node_id' in reply) known.set(key, Number(reply.node_id))
    }
    await killed
    await rendezvous.restart()
    problems.push(...(await missing(rendezvous, known)))
  }
  if (known.size < 50) problems.push(`only ${known.size} registrations were acknowledged`)
  return { problems: problems.slice(0, 10), notes: [`${known.size} acknowledged, ${problems.length} lost`] }
}

async function missing({ registry }: Rendezvous, known: ReadonlyMap<string, number>): Promise<string[]> {
  const lost: string[] = []
  for (const [key, id] of [...known].slice(-20)) {
    const reply = await askRegistry(registry, { type: 'lookup', node_id: id })
    if (reply['public_key'] !== key) lost.push(`node ${id}: ${JSON.stringify(reply)}`)
  }
  return lost
}

async function revokeThenKill(stage: Stage): Promise<FactResult> {
  const service = await echo(stage)
  const { a, b } = await pair(stage, { map: ['0:agent-b:80'] }, { expose: [`80=${service.address}`] })
  const problems: string[] = []
  for (let round = 0; round < 5; round++) {
    const { code } = await b.cli('trust', 'revoke', 'agent-a')
    b.program.killNow()
    await b.program.ended()
    await b.restart()
    const trusted = await b.json<readonly TrustRecord[]>('trust', 'list')
    if (code !== 0) problems.push(`round ${round}: trust revoke ended with ${code}`)
    if (trusted.length > 0) problems.push(`round ${round}: a revoked peer is trusted again`)
    // Both request it: the other side may or may not have received the revocation.
    await Promise.all([b.json('trust', 'request', 'agent-a'), a.json('trust', 'request', 'agent-b')])
    const trusts = async (): Promise<true | undefined> =>
      (await b.json<readonly TrustRecord[]>('trust', 'list')).length > 0 || undefined
    await eventually('they trust each other again', trusts)
  }
  return { problems, notes: [] }
}

async function oneTicket(stage: Stage): Promise<FactResult> {
  const service = await echo(stage)
  const port = service.address.split(':')[1]!
  const common = ['--json', '--listen', '127.0.0.1:0']
  const host = stage.start(['share', port, ...common, '--state-dir', stage.path('host')], { label: 'host' })
  const ticket = String((await host.event('invited'))['ticket'])
  const guests = [1, 2, 3, 4].map((number) =>
    stage.start(['join', ticket, '0', ...common, '--state-dir', stage.path(`guest-${number}`)], {
      label: `guest ${number}`,
    }),
  )
  const outcomes = await Promise.all(
    guests.map(async (guest) =>
      Promise.race([
        guest.event('mapped', () => true, JOIN_MS).then(() => 'in'),
        guest.ended(JOIN_MS).then(({ code }) => (/"code":"TICKET_USED"/.test(guest.stdout) ? 'used' : `exit ${code}`)),
      ]).catch((error: unknown) => (/TICKET_USED/.test(guest.stdout) ? 'used' : String(error).slice(0, 300))),
    ),
  )
  const isRight = outcomes.filter((outcome) => outcome === 'in').length === 1
  const others = outcomes.filter((outcome) => outcome === 'used').length === 3
  return { problems: isRight && others ? [] : [`the guests ended as ${outcomes.join(', ')}`], notes: [] }
}

async function oneFolder(stage: Stage, random: Random): Promise<FactResult> {
  const { registry, beacon } = await Rendezvous.start(stage)
  const problems: string[] = []
  const folder = stage.path('one')
  for (let round = 0; round < 8; round++) {
    const args = ['up', '--json', '--registry', registry, '--beacon', beacon, '--listen', '127.0.0.1:0']
    const programs = await Promise.all(
      [1, 2, 3, 4].map(async (number) => {
        await pause(random(60))
        return stage.start([...args, '--state-dir', folder], { label: `gateway ${number} of round ${round}` })
      }),
    )
    const outcomes = await Promise.all(
      programs.map((program) =>
        Promise.race([
          program.event('ready', () => true, JOIN_MS).then(() => 'ready'),
          program.ended(JOIN_MS).then(({ code }) => `exit ${code}`),
        ]).catch(() => `exit ${program.exit?.code}`),
      ),
    )
    const ready = outcomes.filter((outcome) => outcome === 'ready').length
    const refused = outcomes.filter((outcome) => outcome === 'exit 6').length
    if (ready !== 1 || refused !== 3) problems.push(`round ${round}: ${outcomes.join(', ')}`)
    // Each time a stale lock is left behind, which the next round must replace.
    await Promise.all(programs.map((program) => program.kill()))
  }
  return { problems, notes: [`load average ${loadAverage()}`] }
}

function seedOf(number: number): Uint8Array {
  const seed = new Uint8Array(32)
  new DataView(seed.buffer).setUint32(0, number)
  return seed
}

function loadAverage(): string {
  return spawnSync('cat', ['/proc/loadavg'], { encoding: 'utf8' }).stdout.split(' ')[0] ?? '?'
}

const JOIN_MS = 40_000
