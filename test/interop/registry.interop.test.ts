/**
 * Real Go daemons on our rendezvous, and our nodes on the Go one: user actions must have the same results. Tests are
 * skipped if the programs are missing.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import { createLogger } from '../../src/runtime/log.ts'
import { OverlayNode } from '../../src/runtime/node/node.ts'
import type { Rendezvous, RendezvousOptions } from '../../src/server/rendezvous.ts'
import { startRendezvous } from '../../src/server/rendezvous.ts'
import { askRegistry } from './ask-registry.ts'
import type { GoDaemon } from './go-programs.ts'
import { noGo } from './go.ts'
import { startGoDaemon, startGoRendezvous, until } from './go-programs.ts'

const LOG = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }
const ADMIN_TOKEN = 'a-token-for-this-test-only'

test('a Go daemon publishes its attributes at our registry and hides them again', { skip: noGo }, async (context) => {
  const rendezvous = await ours(context)
  const [a, b] = [
    await daemon(context, rendezvous, '-hostname', 'anna'),
    await daemon(context, rendezvous, '-hostname', 'bob', '-public'),
  ]
  assert.equal((await a.ctl('info'))['hostname'], 'anna')
  assert.deepEqual(await a.ctl('find', 'bob'), {
    address: '0:0000.0000.0002',
    hostname: 'bob',
    node_id: 2,
    public: true,
  })
  await assert.rejects(b.ctl('find', 'anna'), /not_found/)
  assert.deepEqual((await a.ctl('set-tags', 'web', 'gpu'))['tags'], ['web', 'gpu'])
  assert.equal((await a.ctl('set-hostname', 'anna-two'))['hostname'], 'anna-two')
  assert.equal((await a.ctl('enable-tasks'))['task_exec'], true)
  assert.equal((await a.ctl('set-public'))['visibility'], 'public')
  const shown = await b.ctl('lookup', '1')
  assert.deepEqual(
    [shown['hostname'], shown['tags'], shown['task_exec'], shown['public'], shown['real_addr']],
    ['anna-two', ['web', 'gpu'], true, true, a.udp],
  )
  assert.equal((await b.ctl('find', 'anna-two'))['node_id'], 1)
  assert.equal((await a.ctl('set-private'))['visibility'], 'private')
  await assert.rejects(b.ctl('find', 'anna-two'), /not_found/)
  assert.equal((await a.ctl('clear-hostname'))['hostname'], '')
  await assert.rejects(a.ctl('set-hostname', 'bob'), /already in use/)
  await assert.rejects(a.ctl('rotate-key', '1', 'someone1@example.com'), /request failed/) // pilotctl does not sign it: the Go registry refuses as well
})

test(
  'two private Go daemons come to trust each other through our mailbox, reach each other, and part',
  { skip: noGo },
  async (context) => {
    const rendezvous = await ours(context)
    const [a, b] = [await daemon(context, rendezvous), await daemon(context, rendezvous)]
    assert.equal(await reaches(a, 2), false)
    assert.equal((await a.ctl('handshake', '2', 'hello'))['status'], 'sent')
    await until(
      async () => peers(await b.ctl('pending'), 'pending').includes(1),
      () => 'the request did not arrive',
    )
    await b.ctl('approve', '1')
    await until(
      async () => peers(await a.ctl('trust'), 'trusted').includes(2),
      () => 'the approval did not arrive',
    )
    assert.ok(await reaches(a, 2))
    assert.ok(await reaches(b, 1))
    assert.equal(
      (await askRegistry(rendezvous.registry, { type: 'check_trust', node_id: 1, peer_id: 2 }))['trusted'],
      true,
    )
    await a.ctl('untrust', '2')
    await until(
      async () =>
        (await askRegistry(rendezvous.registry, { type: 'check_trust', node_id: 1, peer_id: 2 }))['trusted'] === false,
      () => 'the pair is still there',
    )
  },
)

test('a rejection arrives and creates no pair', { skip: noGo }, async (context) => {
  const rendezvous = await ours(context)
  const [a, b] = [await daemon(context, rendezvous), await daemon(context, rendezvous)]
  await a.ctl('handshake', '2', 'hello')
  await until(
    async () => peers(await b.ctl('pending'), 'pending').includes(1),
    () => 'the request did not arrive',
  )
  await b.ctl('reject', '1', 'no')
  assert.deepEqual(peers(await b.ctl('pending'), 'pending'), [])
  assert.equal(
    (await askRegistry(rendezvous.registry, { type: 'check_trust', node_id: 1, peer_id: 2 }))['trusted'],
    false,
  )
})

test(
  'a private Go daemon that asks a public one directly is trusted by both, and both ways are open',
  { skip: noGo },
  async (context) => {
    const rendezvous = await ours(context)
    const [a, b] = [await daemon(context, rendezvous), await daemon(context, rendezvous, '-public')]
    await a.ctl('handshake', '2', 'hello')
    await until(
      async () => peers(await b.ctl('pending'), 'pending').includes(1),
      () => 'the request did not arrive',
    )
    await b.ctl('approve', '1')
    await until(
      async () => peers(await a.ctl('trust'), 'trusted').includes(2),
      () => 'the approval did not arrive',
      60_000,
    )
    assert.ok(await reaches(a, 2))
    await until(
      async () =>
        (await askRegistry(rendezvous.registry, { type: 'check_trust', node_id: 1, peer_id: 2 }))['trusted'] === true,
      () => 'the registry counts no pair',
    )
    assert.ok(await reaches(b, 1))
  },
)

test(
  'Go daemons join a network of ours on start, and its members reach each other without handshakes',
  { skip: noGo },
  async (context) => {
    const rendezvous = await ours(context, { rules: { adminToken: ADMIN_TOKEN } })
    const a = await daemon(context, rendezvous)
    const created = await askRegistry(rendezvous.registry, {
      type: 'create_network',
      node_id: 1,
      name: 'lab',
      admin_token: ADMIN_TOKEN,
    })
    assert.equal(created['network_id'], 1)
    const b = await daemon(context, rendezvous, '-networks', '1', '-admin-token', ADMIN_TOKEN)
    await until(
      async () => members(await askRegistry(rendezvous.registry, { type: 'list_nodes', network_id: 1 })).includes(2),
      () => `the daemon did not join\n${b.output()}`,
    )
    assert.ok(await reaches(a, 2))
    assert.ok(await reaches(b, 1))
  },
)

test('a Go daemon keeps its id across a restart of our registry', { skip: noGo }, async (context) => {
  const storeDir = folder(context)
  const first = await startRendezvous({ registry: '127.0.0.1:0', beacon: '127.0.0.1:0', log: LOG, storeDir })
  const a = await daemon(context, first, '-hostname', 'anna', '-public')
  await first.stop()
  const second = await ours(context, { registry: first.registry, beacon: first.beacon, storeDir })
  await until(
    async () => (await a.ctl('set-tags', 'back').catch(() => ({ tags: [] })))['tags']?.toString() === 'back',
    () => `not back\n${a.output()}`,
  )
  const shown = await askRegistry(second.registry, { type: 'resolve_hostname', hostname: 'anna' })
  assert.equal(shown['node_id'], 1)
})

test('a Go daemon speaks TLS with our registry only by its fingerprint', { skip: noGo }, async (context) => {
  const rendezvous = await ours(context, { tlsOnly: true })
  const a = await daemon(context, rendezvous, '-registry-tls', '-registry-fingerprint', rendezvous.fingerprint)
  assert.equal((await a.ctl('info'))['node_id'], 1)
  const wrong = startGoDaemon({
    registry: rendezvous.registry,
    beacon: rendezvous.beacon,
    flags: ['-registry-tls', '-registry-fingerprint', '0'.repeat(64)],
  })
  await assert.rejects(wrong, /does not answer/) // it gives up at once
})

for (const tls of [false, true]) {
  test(
    `our node registers at the Go registry ${tls ? 'over pinned TLS' : 'in the clear'}, and a Go daemon there reaches it`,
    { skip: noGo },
    async (context) => {
      const go = await startGoRendezvous(tls ? ['-tls'] : [])
      context.after(() => go.stop())
      const pin = tls ? { registryFingerprint: go.fingerprint } : {}
      const node = await ourNode(context, {
        registry: go.registry,
        beacon: go.beacon,
        hostname: 'ours',
        public: true,
        ...pin,
      })
      assert.equal(await node.whenRegistered(10_000), true)
      const a = await daemon(
        context,
        go,
        '-public',
        ...(tls ? ['-registry-tls', '-registry-fingerprint', go.fingerprint] : []),
      )
      assert.equal((await a.ctl('find', 'ours'))['node_id'], node.nodeId)
      assert.ok((await node.ping(await nodeIdOf(a), 10_000)).rttMs >= 0)
      if (!tls) return
      const stranger = await ourNode(context, {
        registry: go.registry,
        beacon: go.beacon,
        public: true,
        registryFingerprint: 'a'.repeat(64),
      })
      assert.equal(await stranger.whenRegistered(1_500), false)
    },
  )
}

test('our node registers at our registry over pinned TLS, but not with normal certificate checks', async (context) => {
  const rendezvous = await ours(context, { tlsOnly: true })
  const { registry, beacon } = rendezvous
  assert.equal(
    await (
      await ourNode(context, {
        registry,
        beacon,
        public: false,
        registryFingerprint: rendezvous.fingerprint.toUpperCase(),
      })
    ).whenRegistered(5_000),
    true,
  )
  assert.equal(
    await (await ourNode(context, { registry: `tls://${registry}`, beacon, public: false })).whenRegistered(1_500),
    false,
  )
  assert.equal(await (await ourNode(context, { registry, beacon, public: false })).whenRegistered(1_500), false)
})

async function ours(context: TestContext, options: Partial<RendezvousOptions> = {}): Promise<Rendezvous> {
  const rendezvous = await startRendezvous({ registry: '127.0.0.1:0', beacon: '127.0.0.1:0', log: LOG, ...options })
  context.after(() => rendezvous.stop())
  return rendezvous
}

async function daemon(
  context: TestContext,
  { registry, beacon }: { readonly registry: string; readonly beacon: string },
  ...flags: readonly string[]
): Promise<GoDaemon> {
  const started = await startGoDaemon({ registry, beacon, flags })
  context.after(() => started.stop())
  return started
}

type NodeOptions = Pick<
  Parameters<typeof OverlayNode.start>[0],
  'registry' | 'beacon' | 'hostname' | 'public' | 'registryFingerprint'
>

async function ourNode(context: TestContext, options: NodeOptions): Promise<OverlayNode> {
  const identityFile = join(folder(context), 'identity.json')
  const node = await OverlayNode.start(
    { listen: '127.0.0.1:0', identityFile, trust: [], pinned: {}, ...options },
    createLogger('silent'),
    () => undefined,
  )
  context.after(() => node.stop())
  return node
}

function folder(context: TestContext): string {
  const made = mkdtempSync(join(tmpdir(), 'pilotgate-interop-'))
  context.after(() => rmSync(made, { recursive: true, force: true }))
  return made
}

/** Does a ping from the daemon to the node come back? */
async function reaches(from: GoDaemon, node: number): Promise<boolean> {
  const address = `0:0000.0000.${node.toString(16).padStart(4, '0')}`
  const { results } = await from.ctl('ping', address, '--count', '1', '--timeout', '10s')
  return (results as Record<string, unknown>[]).some((result) => typeof result['rtt_ms'] === 'number')
}

async function nodeIdOf(from: GoDaemon): Promise<string> {
  return String((await from.ctl('info'))['node_id'])
}

function peers(reply: Record<string, unknown>, list: string): unknown[] {
  return ((reply[list] as Record<string, unknown>[] | null) ?? []).map((entry) => entry['node_id'])
}

function members(reply: Record<string, unknown>): unknown[] {
  return (reply['nodes'] as Record<string, unknown>[]).map((entry) => entry['node_id'])
}
