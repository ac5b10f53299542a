/** Issuing and using tickets on a scripted overlay: what each outcome means, and what is left behind. */
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { toBase64 } from '../../../../src/base/bytes.ts'
import { PilotError } from '../../../../src/base/errors.ts'
import { formatTicket, parseTicket, proofOf } from '../../../../src/gateway/tickets/text.ts'
import type { Ticket } from '../../../../src/gateway/tickets/text.ts'
import { Tickets } from '../../../../src/gateway/tickets/tickets.ts'
import type { TicketNode } from '../../../../src/gateway/tickets/tickets.ts'
import type { GatewayEvent } from '../../../../src/gateway/model/events.ts'
import type { ExposedRecord } from '../../../../src/gateway/model/records.ts'
import type { TrustJudge } from '../../../../src/proto/trust/requests.ts'
import { silentLogger } from '../../../../src/runtime/log.ts'

const OWN = new Uint8Array(32).fill(1)
const THEIRS = new Uint8Array(32).fill(2)
const TICKET: Ticket = {
  expires: Math.floor(Date.now() / 1_000) + 600,
  node: 2,
  key: THEIRS,
  protocol: 'tcp',
  port: 80,
  service: 'web',
  registry: 'rv.example:9000',
  fingerprint: undefined,
  beacon: 'rv.example:9001',
  secret: new Uint8Array(16).fill(5),
}
const WEB: ExposedRecord = {
  name: 'web',
  port: 80,
  target: 'tcp://127.0.0.1:3000',
  allow: ['invited'],
  protocol: 'tcp',
}

const NOBODY = { hostname: undefined, isVerified: false, fingerprint: undefined } as const

let dir: string
let count = 0
before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'pg-tickets-'))
})
const opened: Tickets[] = []
after(async () => {
  for (const tickets of opened) await tickets.stop() // what is still to be saved
  await rm(dir, { recursive: true })
})

interface Stage {
  readonly tickets: Tickets
  readonly stateDir: string
  readonly asked: unknown[][]
  readonly events: GatewayEvent[]
  readonly marked: unknown[][]
  judge: TrustJudge | undefined
}

async function open({
  trusted = [],
  guests = true,
  registered = true,
  fingerprint,
}: {
  trusted?: { nodeId: number; publicKey: string }[]
  guests?: boolean
  registered?: boolean
  fingerprint?: string
} = {}): Promise<Stage> {
  const stateDir = join(dir, String(count++))
  const asked: unknown[][] = []
  const events: GatewayEvent[] = []
  const stage = { stateDir, asked, events, marked: [] as unknown[][], judge: undefined as TrustJudge | undefined }
  const node = {
    nodeId: 1,
    publicKey: toBase64(OWN),
    status: {},
    trusted: async () => trusted,
    trustOf: async (node: number) => trusted.find(({ nodeId }) => nodeId === node),
    dropWish: async () => true,
    whenRegistered: async () => registered,
    guests: guests
      ? {
          judge: (judge: TrustJudge | undefined) => {
            stage.judge = judge
          },
          expect: () => {},
          ask: (...args: unknown[]) => {
            asked.push(args)
          },
          mark: (key: Uint8Array, isOurs: boolean) => {
            stage.marked.push([key, isOurs])
          },
        }
      : null,
  } as unknown as TicketNode
  const tickets = await Tickets.open({
    node,
    options: {
      stateDir,
      registry: 'rv.example:9000',
      beacon: 'rv.example:9001',
      ...(fingerprint !== undefined && { registryFingerprint: fingerprint }),
    },
    log: silentLogger,
    onEvent: (event) => events.push(event),
  })
  opened.push(tickets)
  return Object.assign(stage, { tickets })
}

async function code(work: Promise<unknown>): Promise<string> {
  return await work.then(
    () => 'no error',
    (error: unknown) => (error instanceof PilotError ? error.code : String(error)),
  )
}

/** The request has been sent when this resolves. */
async function asking({ asked }: Stage): Promise<void> {
  while (asked.length === 0)
    await new Promise((resolve) => {
      setTimeout(resolve, 1)
    })
}

test('a ticket names this node, its key and its rendezvous; its proof is accepted once, from the key it was made for', async () => {
  const stage = await open()
  const record = await stage.tickets.invite([WEB], undefined, 600_000)
  const ticket = parseTicket(record.ticket)
  assert.deepEqual(
    [ticket.node, ticket.key, ticket.port, ticket.service, ticket.registry, ticket.beacon],
    [1, OWN, 80, 'web', 'rv.example:9000', 'rv.example:9001'],
  )
  const proof = proofOf(ticket.secret, THEIRS, OWN)
  assert.equal(stage.judge!({ node: 2, key: THEIRS, justification: 'please', trusted: false }), undefined)
  assert.equal(stage.judge!({ node: 3, key: OWN, justification: proof, trusted: false }), 'refuse')
  assert.equal(stage.judge!({ node: 2, key: THEIRS, justification: proof, trusted: false }), 'accept')
  assert.equal(stage.judge!({ node: 2, key: THEIRS, justification: proof, trusted: true }), 'accept')
  assert.deepEqual(
    stage.events,
    [{ event: 'ticket', state: 'used', service: 'web', peer: '0:0000.0000.0002', nodeId: 2 }],
    'told once',
  )
  await stage.tickets.stop()
  assert.ok(
    !(await readFile(join(stage.stateDir, 'tickets.json'), 'utf8')).includes(toBase64(ticket.secret)),
    'the secret is deleted on use',
  )
})

test('impossible invitations are reported', async () => {
  const { tickets } = await open()
  assert.equal(await code(tickets.invite([], undefined, 600_000)), 'NOT_FOUND')
  assert.equal(await code(tickets.invite([WEB, { ...WEB, name: 'api' }], undefined, 600_000)), 'USAGE')
  assert.equal(await code(tickets.invite([WEB], 'api', 600_000)), 'NOT_FOUND')
  assert.equal(
    await code((await open({ registered: false })).tickets.invite([WEB], 'web', 600_000)),
    'REGISTRY_UNREACHABLE',
  )
  assert.equal(await code((await open({ guests: false })).tickets.invite([WEB], 'web', 600_000)), 'USAGE')
})

test('using one requests trust from that node and key only, presents the proof, and restricts the inviter', async () => {
  const stage = await open({ trusted: [] })
  const using = stage.tickets.redeem(formatTicket(TICKET))
  await asking(stage)
  assert.deepEqual(stage.asked, [[2, THEIRS, proofOf(TICKET.secret, OWN, THEIRS)]])
  assert.equal(await code(stage.tickets.redeem(formatTicket(TICKET))), 'CONFLICT', 'twice at once')
  stage.tickets.onTrust({ kind: 'trust', node: 3, ...NOBODY, state: 'approved' }) // someone else
  stage.tickets.onTrust({ kind: 'trust', node: 2, ...NOBODY, state: 'approved' })
  assert.deepEqual(await using, {
    peer: '0:0000.0000.0002',
    nodeId: 2,
    publicKey: toBase64(THEIRS),
    service: 'web',
    port: 80,
    protocol: 'tcp',
  })
  assert.deepEqual(stage.marked, [[THEIRS, false]], 'the node knows as well')
  const again = await readFile(join(stage.stateDir, 'tickets.json'), 'utf8')
  assert.ok(again.includes(toBase64(THEIRS)) && again.includes('"limited": true'))
})

test('a refusal is TICKET_USED, another key TICKET_INVALID, and neither leaves anything behind', async () => {
  for (const [state, expected] of [
    ['rejected', 'TICKET_USED'],
    ['key_changed', 'TICKET_INVALID'],
  ] as const) {
    const stage = await open()
    const using = code(stage.tickets.redeem(formatTicket(TICKET)))
    await asking(stage)
    stage.tickets.onTrust({ kind: 'trust', node: 2, ...NOBODY, state })
    assert.equal(await using, expected)
    assert.ok(!(await readFile(join(stage.stateDir, 'tickets.json'), 'utf8')).includes(toBase64(THEIRS)))
  }
})

test('a ticket for another rendezvous names both and the way there; it accuses no one, and costs no trust', async () => {
  const other = formatTicket({ ...TICKET, registry: 'other.example:9000' })
  const certain = formatTicket({ ...TICKET, fingerprint: 'ab'.repeat(32) })
  const refusal = async (stage: Stage, text: string): Promise<PilotError> =>
    (await stage.tickets.redeem(text).catch((error: unknown) => error)) as PilotError
  // another node has the id here: before, this was "revoke trust"
  const trusting = await open({
    trusted: [{ nodeId: 2, publicKey: toBase64(OWN.map(() => 9)) }],
    fingerprint: 'cd'.repeat(32),
  })
  const known = await refusal(trusting, certain)
  assert.deepEqual([known.code, trusting.asked], ['CONFLICT', []], 'nothing was asked of that node')
  const stage = await open()
  const asked = refusal(stage, other)
  await asking(stage)
  stage.tickets.onTrust({ kind: 'trust', node: 2, ...NOBODY, state: 'key_changed' })
  for (const error of [known, await asked]) {
    assert.equal(error.code, 'CONFLICT')
    assert.match(
      error.message,
      /the ticket is for the rendezvous at .*, and this gateway is registered at rv\.example:9000/,
    )
    assert.match(error.hint, /pilotgate join TICKET --state-dir DIR/)
  }
})

test('tickets have labels, can be listed without their secret, and withdrawn by id, by label and with their exposure', async () => {
  const stage = await open()
  const { tickets } = stage
  const [ann, bob, cid] = [
    await tickets.invite([WEB], 'web', 600_000, 'ann'),
    await tickets.invite([WEB], 'web', 600_000, 'bob'),
    await tickets.invite([WEB], 'web', 600_000),
  ]
  assert.deepEqual(
    tickets.list().map(({ id, label, service }) => [id, label, service]),
    [
      [ann.id, 'ann', 'web'],
      [bob.id, 'bob', 'web'],
      [cid.id, undefined, 'web'],
    ],
  )
  assert.ok(!JSON.stringify(tickets.list()).includes(toBase64(parseTicket(ann.ticket).secret)))
  assert.equal(tickets.countOf(WEB), 3)
  const proof = (text: string): string => proofOf(parseTicket(text).secret, THEIRS, OWN)
  const judge = (text: string): unknown =>
    stage.judge!({ node: 2, key: THEIRS, justification: proof(text), trusted: false })
  assert.deepEqual([tickets.cancel('ann').map(({ id }) => id), judge(ann.ticket)], [[ann.id], 'refuse'])
  assert.throws(() => tickets.cancel('ann'), { code: 'NOT_FOUND' })
  assert.equal(judge(bob.ticket), 'accept')
  assert.deepEqual([tickets.labelOf(2, WEB), tickets.labelOf(2), tickets.labelOf(3)], ['bob', 'bob', undefined])
  assert.equal(tickets.labelOf(2, { ...WEB, name: 'api', port: 81 }), undefined, 'not its ticket')
  assert.equal(stage.events.at(-1)!.event === 'ticket' && (stage.events.at(-1) as { label?: string }).label, 'bob')
  tickets.withdraw({ ...WEB, port: 81 })
  assert.equal(tickets.countOf(WEB), 1)
  tickets.withdraw(WEB)
  assert.deepEqual([tickets.list(), judge(cid.ticket)], [[], 'refuse'])
})

test("a ticket expired by our clock is still presented, since its issuer's clock may differ", async () => {
  const text = formatTicket({ ...TICKET, expires: 1 })
  const stage = await open()
  const using = code(stage.tickets.redeem(text))
  await asking(stage)
  stage.tickets.onTrust({ kind: 'trust', node: 2, ...NOBODY, state: 'rejected' })
  assert.equal(await using, 'TICKET_EXPIRED')
  const right = await open()
  const taken = right.tickets.redeem(text)
  await asking(right)
  right.tickets.onTrust({ kind: 'trust', node: 2, ...NOBODY, state: 'approved' })
  assert.equal((await taken).nodeId, 2)
})

test('errors in a ticket are found before any node is contacted', async () => {
  const { tickets, asked } = await open()
  assert.equal(await code(tickets.redeem(formatTicket({ ...TICKET, key: OWN }))), 'USAGE', 'our own')
  assert.equal(await code(tickets.redeem('pgt1_AAAA')), 'TICKET_INVALID')
  assert.equal(
    await code(
      (await open({ trusted: [{ nodeId: 2, publicKey: toBase64(OWN) }] })).tickets.redeem(formatTicket(TICKET)),
    ),
    'CONFLICT',
    'trusted with another key',
  )
  assert.equal(
    await code((await open({ guests: false })).tickets.redeem(formatTicket(TICKET))),
    'USAGE',
    'through a daemon',
  )
  assert.equal(
    await code((await open({ registered: false })).tickets.redeem(formatTicket(TICKET))),
    'REGISTRY_UNREACHABLE',
  )
  assert.deepEqual(asked, [])
})

test('a revocation takes away what a ticket opened', async () => {
  const trusted = [{ nodeId: 2, publicKey: toBase64(THEIRS) }]
  const stage = await open({ trusted })
  const { secret } = parseTicket((await stage.tickets.invite([WEB], 'web', 600_000)).ticket)
  stage.judge!({ node: 2, key: THEIRS, justification: proofOf(secret, THEIRS, OWN), trusted: false })
  assert.equal(await stage.tickets.standing(2, { ...WEB, name: 'web' }), 'granted')
  assert.equal(await stage.tickets.standing(2, { ...WEB, name: 'database' }), 'restricted')
  assert.equal(await stage.tickets.standing(3, { ...WEB, name: 'web' }), undefined)
  stage.tickets.onTrust({ kind: 'trust', node: 2, ...NOBODY, state: 'revoked' })
  assert.equal(await stage.tickets.standing(2, { ...WEB, name: 'web' }), undefined)
})
