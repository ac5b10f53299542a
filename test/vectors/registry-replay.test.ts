/**
 * Replays the recorded conversation with an April 2026 registry against ours, twice: with the reference's behaviour
 * switched on, and with our defaults. Each reply must equal the recorded one, except for the differences listed here,
 * each with its reason.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Compat, RegistryOptions } from '../../src/server/registry/options.ts'
import { utf8 } from '../../src/base/bytes.ts'
import { COMPAT } from '../../src/server/registry/options.ts'
import { DEFAULT_RATE_LIMITS } from '../../src/server/registry/rate-limiter.ts'
import { Registry } from '../../src/server/registry/registry.ts'
import { MemoryStore } from '../../src/server/store/memory-store.ts'
import { encodeRegistryFrame, RegistryFrameReader } from '../../src/wire/registry-messages.ts'
import { newIdentity } from '../unit/server/registry/setting.ts'
import { hex, loadVectors } from './load.ts'

type Fields = Record<string, unknown>

interface Exchange {
  readonly name: string
  readonly request?: Fields
  readonly response: Fields | null
  readonly source_ip?: string
  readonly sent?: string
  readonly connection_after?: string
}

interface Difference {
  readonly reply: Fields | 'not sent' | 'without private attributes'
  readonly why: string
}

const { groups } = loadVectors<{ groups: { name: string; exchanges: Exchange[] }[] }>('registry-transcript')
const RECORDED_AT = 1_795_341_353_000 // unix ms; the recording took less than a second
const REFUSED: Fields = { type: 'error', error: 'request failed' }
const UNTRUSTED: Fields = { type: 'check_trust_ok', trusted: false }
const UNKNOWN_NAME: Fields = { type: 'error', error: 'hostname "alice-host" not found' }

/** Differences with any options. */
const ALWAYS: Readonly<Record<string, Difference>> = {
  'hostnames/taken by carol': {
    reply: { type: 'error', error: 'hostname "carol-host" already in use' },
    why: 'who holds a private name is private',
  },
  'punch/requester is node_a': {
    reply: REFUSED,
    why: 'punch needs the right to resolve, and the two have no network in common any more',
  },
  'punch/requester is node_b': { reply: REFUSED, why: 'as above' },
}

const HIDDEN: Difference = {
  reply: 'without private attributes',
  why: 'hostname, tags and external id of a private node are for those who may resolve it',
}

/** What our defaults change. */
const SAFE: Readonly<Record<string, Difference>> = {
  ...ALWAYS,
  'lookup/node with a hostname': HIDDEN,
  'tags and task execution/lookup shows tags': HIDDEN,
  'tags and task execution/lookup shows task_exec': HIDDEN,
  'tags and task execution/set_polo_score (not signed)': { reply: REFUSED, why: 'strangers do not change scores' },
  'tags and task execution/update_polo_score (not signed)': { reply: REFUSED, why: 'as above' },
  'tags and task execution/back to zero': { reply: REFUSED, why: 'as above' },
  'networks/list_nodes of the network': HIDDEN,
  'networks/resolve_hostname of a private member of the same network': {
    reply: UNKNOWN_NAME,
    why: 'an unsigned requester is anonymous',
  },
  'rotate_key/lookup shows the new key': HIDDEN,
  'register/owner erin, another key: the owner keeps the node id, the key is replaced': {
    reply: 'not sent',
    why: 'no takeover by e-mail address: it would be a new node',
  },
  'register/owner erin, the first key again: replaced once more': { reply: 'not sent', why: 'as above' },
  'trust/check_trust': { reply: UNTRUSTED, why: 'one side alone makes no pair' },
  'trust/check_trust, other order': { reply: UNTRUSTED, why: 'one side alone makes no pair' },
  'trust/resolve private and trusted': { reply: REFUSED, why: 'one side alone makes no pair' },
  'trust/resolve private and trusted, other direction': { reply: REFUSED, why: 'one side alone makes no pair' },
  'hostnames/resolve_hostname of a private node by itself': {
    reply: UNKNOWN_NAME,
    why: 'an unsigned requester is anonymous',
  },
  'hostnames/resolve_hostname of a private node by a trusted node': {
    reply: UNKNOWN_NAME,
    why: 'an unsigned requester is anonymous',
  },
}

const ADMIN = { adminToken: 'vector-admin-token' }
const AS_REFERENCE: Partial<RegistryOptions> = { ...ADMIN, compat: new Set(Object.keys(COMPAT) as Compat[]) }

for (const [mode, options, differences] of [
  ["the reference's habits", AS_REFERENCE, ALWAYS],
  ['our defaults', ADMIN, SAFE],
] as const) {
  test(`the recorded conversation, with ${mode}`, async (context) => {
    const registry = new Registry(new MemoryStore(), 0, options)
    const seen = new Set<string>()
    for (const group of groups.filter(({ name }) => name !== 'rate limits')) {
      await context.test(group.name, () => {
        for (const exchange of group.exchanges) {
          if (exchange.request === undefined || exchange.response === null) continue
          const name = `${group.name}/${exchange.name}`
          const difference = differences[name]
          if (difference !== undefined) seen.add(name)
          if (difference?.reply === 'not sent') continue
          const expected =
            difference?.reply === 'without private attributes'
              ? withoutPrivateAttributes(exchange.response)
              : (difference?.reply ?? exchange.response)
          assert.deepEqual(comparable(ask(registry, exchange)), comparable(expected), name)
        }
      })
    }
    assert.deepEqual([...seen].sort(), Object.keys(differences).sort(), 'every listed difference was met')
  })
}

test('the recorded limits hold for sources that are not loopback', () => {
  // The recording used 127.0.0.9 and .10; ours exempts loopback, so they come from elsewhere here.
  // Ours also admits more nodes behind one address than the reference's 50 heartbeats a minute do.
  const registry = new Registry(new MemoryStore(), 0, { limits: { ...DEFAULT_RATE_LIMITS, heartbeat: 50 } })
  const exchanges = groups.find(({ name }) => name === 'rate limits')?.exchanges ?? []
  const [first, tenth, eleventh, known, heartbeat] = exchanges.map(
    (exchange) =>
      JSON.parse(
        JSON.stringify(exchange).replaceAll('127.0.0.9', '192.0.2.9').replaceAll('127.0.0.10', '192.0.2.10'),
      ) as Exchange,
  )
  assert.ok(first && tenth && eleventh && known && heartbeat)
  for (let i = 1; i <= 7; i++)
    ask(registry, {
      ...first,
      source_ip: '127.0.0.1',
      request: { type: 'register', public_key: newIdentity(i).publicKeyBase64 },
    })
  assert.deepEqual(ask(registry, first), first.response)
  for (let i = 2; i <= 9; i++)
    ask(registry, { ...first, request: { type: 'register', public_key: newIdentity(100 + i).publicKeyBase64 } })
  assert.deepEqual(ask(registry, tenth), tenth.response)
  assert.deepEqual(ask(registry, eleventh), eleventh.response)
  assert.deepEqual(ask(registry, known), known.response)
  for (let i = 1; i <= 50; i++) ask(registry, heartbeat)
  assert.deepEqual(ask(registry, heartbeat), heartbeat.response)
})

test('the recorded streams are cut or closed as recorded', () => {
  const streams =
    groups.find(({ name }) => name === 'protocol errors')?.exchanges.filter(({ sent }) => sent !== undefined) ?? []
  assert.ok(streams.length > 8)
  for (const { name, sent, connection_after: after } of streams) {
    const reader = new RegistryFrameReader()
    reader.push(hex(sent ?? ''))
    const next = reader.next()
    const closes = typeof next === 'string'
    // Ours also closes on null: the reference parses it as an object without type, which no client depends on.
    // A frame cut short leaves us waiting, as in the recording.
    assert.equal(closes, name === 'JSON null' || (after ?? '').startsWith('closed'), name)
  }
  const padded = new RegistryFrameReader()
  const largest = '{"type":"lookup","node_id":1}'.padEnd(65_536, ' ')
  padded.push(hex('00010000'))
  padded.push(utf8(largest))
  assert.deepEqual(padded.next(), { type: 'lookup', node_id: 1 })
})

test('our frames of the recorded requests are the recorded frames', () => {
  let compared = 0
  for (const exchange of groups.flatMap((group) => group.exchanges) as (Exchange & { request_frame?: string })[]) {
    if (exchange.request === undefined || exchange.request_frame === undefined) continue
    assert.deepEqual(encodeRegistryFrame(exchange.request), hex(exchange.request_frame), exchange.name)
    compared++
  }
  assert.ok(compared > 0)
})

/** The port of a source is only seen where the request names none. */
function ask(registry: Registry, exchange: Exchange): Fields {
  const port = Number(/:(\d+)$/.exec(String(exchange.response?.['observed_addr'] ?? ''))?.[1] ?? 50_000)
  return { ...registry.handle(RECORDED_AT, exchange.source_ip ?? '127.0.0.1', port, exchange.request) }
}

const PRIVATE: ReadonlySet<string> = new Set(['hostname', 'tags', 'external_id'])

function withoutPrivateAttributes(reply: Fields): Fields {
  return JSON.parse(JSON.stringify(reply), (key, value: unknown) => (PRIVATE.has(key) ? undefined : value)) as Fields
}

/** Sorted where no order is promised, and without the sender fields that ours adds to polled entries. */
function comparable(reply: Fields): Fields {
  const copy = structuredClone(reply)
  delete copy['key_generation'] // of look-ups, for daemons of today
  delete copy['last_seen_unix']
  for (const list of ['requests', 'responses', 'beacons']) {
    const entries = copy[list]
    if (!Array.isArray(entries)) continue
    for (const entry of entries as Fields[]) {
      delete entry['hostname']
      delete entry['public_key']
    }
    if (list === 'beacons') entries.sort((a: Fields, b: Fields) => Number(a['id']) - Number(b['id']))
  }
  return copy
}
