/** The status page: its contents, and that it reveals no node. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startRendezvous } from '../../../src/server/rendezvous.ts'
import { StatusServer } from '../../../src/server/status-server.ts'
import { askRegistry } from '../../interop/ask-registry.ts'
import { newIdentity } from './registry/setting.ts'

const LOG = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }

test('health, metrics, numbers and a page, none of which name a node', async () => {
  const rendezvous = await startRendezvous({
    registry: '127.0.0.1:0',
    beacon: '127.0.0.1:0',
    http: '127.0.0.1:0',
    log: LOG,
  })
  await askRegistry(rendezvous.registry, {
    type: 'register',
    listen_addr: '127.0.0.1:4567',
    public_key: newIdentity(1).publicKeyBase64,
    owner: 'anna@example.com',
    hostname: 'anna',
  })
  const texts: string[] = []
  const get = async (path: string, init: RequestInit = {}): Promise<Response> => {
    const response = await fetch(`http://${rendezvous.http ?? ''}${path}`, init)
    texts.push(await response.clone().text())
    return response
  }
  for (const path of ['/livez', '/readyz']) assert.equal(await (await get(path)).text(), 'ok\n')
  const health = (await (await get('/healthz')).json()) as Record<string, unknown>
  assert.deepEqual([health['status'], health['version'], health['nodes_online']], ['ok', '1.0', 1])
  const numbers = (await (await get('/api/stats')).json()) as Record<string, unknown>
  assert.deepEqual([numbers['total_nodes'], numbers['active_nodes'], numbers['total_requests']], [1, 1, 1])
  assert.deepEqual(
    [numbers['healthy'], numbers['tls_fingerprint'], typeof numbers['version']],
    [true, rendezvous.fingerprint, 'string'],
  )
  const metrics = await (await get('/metrics')).text()
  for (const [, help] of metrics.matchAll(/^# HELP pilotgate_beacon_\w+ (.*)$/gm))
    assert.match(help!, /^[A-Z][^.]{10,}\.$/, 'every counter is explained, not referred to a source file')
  assert.match(metrics, /^pilotgate_registry_nodes 1$/m)
  assert.match(metrics, /^# TYPE pilotgate_beacon_relayed_bytes_total counter$/m)
  for (const line of metrics.trim().split('\n'))
    assert.match(line, /^(?:# (?:HELP|TYPE) pilotgate_\w+ .+|pilotgate_\w+ \d+)$/)
  const page = await get('/')
  assert.match(page.headers.get('content-security-policy') ?? '', /default-src 'none'/)
  assert.equal((await get('/api/nodes')).status, 404)
  assert.equal((await get('/', { method: 'POST' })).status, 405)
  for (const text of texts) assert.doesNotMatch(text, /anna|4567|0:0000/)
  await rendezvous.stop()
})

test('a failed store shows in readyz and healthz, but not in livez', async () => {
  const rendezvous = await startRendezvous({ registry: '127.0.0.1:0', beacon: '127.0.0.1:0', log: LOG })
  const status = {
    healthy: () => false,
    counters: () => rendezvous.counters(),
    connections: () => 0,
    beaconNodes: () => 0,
    linkedNodes: () => 0,
    fingerprint: () => 'ab',
  }
  const server = new StatusServer({ listen: { address: '127.0.0.1', port: 0 }, status, log: LOG })
  const address = await server.start()
  const codes = await Promise.all(
    ['livez', 'readyz', 'healthz'].map(async (path) => (await fetch(`http://${address}/${path}`)).status),
  )
  assert.deepEqual(codes, [200, 503, 503])
  await Promise.all([server.stop(), rendezvous.stop()])
})
