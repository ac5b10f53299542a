/**
 * The same conversation with a Go registry and with ours, request by request: every reply must be the same, except for
 * the differences listed here with their reasons. Twice: with the reference's behaviour switched on, and with our
 * defaults.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Compat } from '../../src/server/registry/options.ts'
import { COMPAT } from '../../src/server/registry/options.ts'
import { Registry } from '../../src/server/registry/registry.ts'
import { MemoryStore } from '../../src/server/store/memory-store.ts'
import { askRegistry, type Reply } from './ask-registry.ts'
import { noGo } from './go.ts'
import { startGoRendezvous } from './go-programs.ts'
import { ADMIN_TOKEN, conversation } from './registry-conversation.ts'

const SENDER = "ours adds the sender's key and name, which Go daemons ignore"

const NOT_OFFERED = 'ours offers no provisioning and no directory sync, and says so first'

/** With any settings. */
const ALWAYS: Readonly<Record<string, string>> = {
  'expiry in words': 'the same refusal in other words',
  poll: SENDER,
  'poll the answer': SENDER,
  'poll another': SENDER,
  'poll the rejection': SENDER,
  'directory status': NOT_OFFERED,
  'an empty blueprint': NOT_OFFERED,
  'directory without entries': NOT_OFFERED,
}

/** Where nothing can be administered. */
const UNADMINISTERED: Readonly<Record<string, string>> = {
  poll: SENDER,
  'poll the answer': SENDER,
  'poll another': SENDER,
  'poll the rejection': SENDER,
  'expiry in words': 'the same refusal in other words',
  'punch within a network': 'punch needs the right to resolve, and there is no network to give it',
}

/** What our defaults change. */
const HIDDEN = 'the hostname of a private node is shown to those who may resolve it'
const UNSCORED = 'scores are not changed by strangers'
const SAFE: Readonly<Record<string, string>> = {
  'lookup shows it all': HIDDEN,
  'lookup with external id': HIDDEN,
  'nodes of the network': HIDDEN,
  'nodes of the club': HIDDEN,
  'nodes with roles': HIDDEN,
  'nodes without enterprise': HIDDEN,
  'nodes without who left': HIDDEN,
  'score up': UNSCORED,
  'score down': UNSCORED,
  'score by a fraction': UNSCORED,
  'score set': UNSCORED,
  'score to the limit': UNSCORED,
  'score in lookup': UNSCORED,
  'score set back': UNSCORED,
  'a whole audit log': UNSCORED,
}

test('our registry answers as the Go registry does', { skip: noGo }, async () => {
  const theirs = await answersOfGo(['-admin-token', ADMIN_TOKEN])
  const compat = new Set(Object.keys(COMPAT) as Compat[])
  compare(theirs, answersOfOurs(new Registry(new MemoryStore(), 0, { adminToken: ADMIN_TOKEN, compat })), ALWAYS)
  compare(theirs, answersOfOurs(new Registry(new MemoryStore(), 0, { adminToken: ADMIN_TOKEN })), {
    ...ALWAYS,
    ...SAFE,
  })
})

test('without an admin token, both refuse the same requests', { skip: noGo }, async () => {
  const registry = new Registry(new MemoryStore(), 0, { compat: new Set(Object.keys(COMPAT) as Compat[]) })
  compare(await answersOfGo([]), answersOfOurs(registry), UNADMINISTERED)
})

function compare(theirs: readonly Reply[], ours: readonly Reply[], expected: Readonly<Record<string, string>>): void {
  const differing: string[] = []
  for (const [index, { name, request }] of conversation().entries()) {
    const [go, our] = [comparable(theirs[index]!), comparable(ours[index]!)]
    if (JSON.stringify(go) === JSON.stringify(our)) continue
    differing.push(name)
    if (expected[name] === undefined)
      console.log(
        `${name} ${JSON.stringify(request).slice(0, 160)}\n  Go   ${JSON.stringify(go)}\n  ours ${JSON.stringify(our)}`,
      )
  }
  assert.deepEqual(differing.sort(), Object.keys(expected).sort())
}

async function answersOfGo(flags: readonly string[]): Promise<Reply[]> {
  const go = await startGoRendezvous(flags)
  try {
    const replies: Reply[] = []
    for (const step of conversation()) replies.push(await askRegistry(go.registry, step.request, step.source))
    return replies
  } finally {
    await go.stop()
  }
}

/** The second source matters only to the Go registry: ours exempts loopback from rate limits. */
function answersOfOurs(registry: Registry): Reply[] {
  return conversation().map(({ request, source }) => ({ ...registry.handle(Date.now(), source, 50_000, request) }))
}

/** Without times, and sorted where no order is promised. */
function comparable(reply: Reply): unknown {
  return sorted(
    JSON.parse(JSON.stringify(reply), (key, value: unknown) =>
      SINCE_APRIL.has(key) ? undefined : TIMES.has(key) ? 'a time' : value,
    ),
  )
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted).sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)]),
  )
}

/** What look-ups say since. */
const SINCE_APRIL: ReadonlySet<string> = new Set(['key_generation', 'last_seen_unix'])
const TIMES: ReadonlySet<string> = new Set(['time', 'timestamp', 'last_seen', 'created', 'created_at', 'rotated_at'])
