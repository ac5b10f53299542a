/** Nodes, gateways and test networks created by a program: what they keep, what they leave behind, how they end. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { createGateway, createNode } from '../../src/api/create.ts'
import { introduce, testnet } from '../../src/api/testnet.ts'
import type { GatewayEvent } from '../../src/gateway/model/events.ts'
import { eventually } from './harness.ts'

const START_MS = 1_000

test('three nodes that trust each other start in under a second, and stopping twice is harmless', async () => {
  const took: number[] = []
  for (let round = 0; round < 3; round++) {
    const began = performance.now()
    const net = await testnet({ nodes: 3 })
    took.push(performance.now() - began)
    assert.deepEqual(
      net.nodes.map(({ hostname }) => hostname),
      ['agent-1', 'agent-2', 'agent-3'],
    )
    for (const a of net.nodes) for (const b of net.nodes) if (a !== b) assert.equal(await a.isTrusted(b.nodeId), true)
    await net.stop()
    await net.stop()
  }
  assert.ok(Math.min(...took) < START_MS, `the fastest of three took ${Math.min(...took).toFixed(0)} ms`)
})

test('another node can join; a name already in use is a conflict and leaves the network running', async () => {
  await using net = await testnet({ nodes: 2 })
  const late = await net.join('late')
  await late.listen(9, (incoming) => {
    incoming.accept().end(incoming.peerName)
  })
  assert.equal(await text((await net.nodes[1]!.dial('late:9')).end()), 'agent-2')
  await assert.rejects(net.join('agent-1'), { code: 'CONFLICT' })
  assert.equal(await text((await net.nodes[0]!.dial('late:9')).end()), 'agent-1')
})

test('a node without a file is new each time; with one it keeps its identity and its trusted peers', async () => {
  await using net = await testnet({ nodes: 1 })
  const dir = mkdtempSync(join(tmpdir(), 'pg-api-'))
  const where = { registry: net.registry, beacon: net.beacon, listen: '127.0.0.1:0' }
  const keys: string[] = []
  for (const identityFile of [undefined, undefined, join(dir, 'identity.json'), join(dir, 'identity.json')]) {
    await using node = await createNode({ ...where, identityFile })
    keys.push(node.publicKey)
    if (keys.length === 3) await introduce(node, net.nodes[0]!)
    if (keys.length === 4) assert.equal(await node.isTrusted(net.nodes[0]!.nodeId), true)
  }
  assert.equal(new Set(keys).size, 3)
  assert.equal(keys[2], keys[3])
  rmSync(dir, { recursive: true })
})

test('revoked trust stays revoked after a restart even if the options name the peer, until a person grants it again', async () => {
  await using net = await testnet({ nodes: 1 })
  const [peer] = net.nodes as [(typeof net.nodes)[0]]
  const dir = mkdtempSync(join(tmpdir(), 'pg-api-'))
  const options = {
    registry: net.registry,
    beacon: net.beacon,
    listen: '127.0.0.1:0',
    identityFile: join(dir, 'identity.json'),
    hostname: 'late',
    trust: ['agent-1'],
  }
  {
    await using node = await createNode(options)
    await introduce(node, peer)
    assert.equal(await node.revokeTrust(peer.nodeId), true)
  }
  await using node = await createNode(options)
  assert.deepEqual(node.wishes, [])
  await eventually('the peer knows', async () => ((await peer.isTrusted(node.nodeId)) ? undefined : true))
  await peer.requestTrust('late', 'again?')
  await eventually(
    'it waits for a person',
    async () => (await node.pendingTrust()).some(({ nodeId }) => nodeId === peer.nodeId) || undefined,
  )
  assert.equal(await node.isTrusted(peer.nodeId), false)
  assert.equal(await node.approveTrust(peer.nodeId), true)
  await eventually(
    'both trust',
    async () => ((await peer.isTrusted(node.nodeId)) && (await node.isTrusted(peer.nodeId))) || undefined,
  )
  rmSync(dir, { recursive: true })
})

test('createNode cleans up when its name is taken', async () => {
  await using net = await testnet({ nodes: 1 })
  await assert.rejects(
    createNode({ registry: net.registry, beacon: net.beacon, listen: '127.0.0.1:0', hostname: 'agent-1' }),
    { code: 'CONFLICT' },
  )
})

test('gateways accept command-line specifications or a file; an ephemeral one leaves nothing behind', async () => {
  await using net = await testnet({ nodes: 1 })
  const folder = mkdtempSync(join(tmpdir(), 'pg-api-'))
  const config = join(folder, 'gateway.yaml')
  writeFileSync(
    config,
    'version: 1\nnode:\n  hostname: from-file\nmap:\n  - { peer: agent-1, port: 9, local: "127.0.0.1:0" }\n',
  )
  await net.nodes[0]!.listen(9, (incoming) => {
    incoming
      .accept()
      .on('error', () => {})
      .end('nine')
  })
  const before = ownFolders()
  const events: GatewayEvent['event'][] = []
  const gateway = await createGateway({
    registry: net.registry,
    beacon: net.beacon,
    listen: '127.0.0.1:0',
    config,
    ephemeral: true,
    onEvent: ({ event }) => events.push(event),
  })
  assert.equal(gateway.status().node.hostname, 'from-file')
  assert.match(gateway.status().version, /^\d+\.\d+\.\d+/)
  const made = ownFolders().find((name) => !before.includes(name))
  assert.equal(statSync(join(tmpdir(), made!)).mode & 0o777, 0o700)
  await introduce(gateway.overlay, net.nodes[0]!)
  const [host, port] = gateway.mappings()[0]!.local.split(':')
  assert.equal(await text(connect(Number(port), host)), 'nine')
  assert.ok(events.includes('mapped'))
  await gateway.stop(1_000)
  assert.deepEqual(
    ownFolders().filter((name) => !before.includes(name)),
    [],
  )
  rmSync(folder, { recursive: true })
})

test('a gateway that cannot start says why and leaves nothing behind', async () => {
  const before = ownFolders()
  await assert.rejects(createGateway({ ephemeral: true, map: ['nonsense'] }), { code: 'USAGE' })
  await assert.rejects(createGateway({ ephemeral: true, config: join(tmpdir(), 'no-such-file.yaml') }), {
    code: 'CONFIG_INVALID',
  })
  await assert.rejects(createGateway({ ephemeral: true, stateDir: tmpdir() }), { code: 'USAGE' })
  assert.deepEqual(ownFolders(), before)
})

test('a gateway created by a program ignores the environment of the process', async () => {
  process.env['PILOTGATE_HOSTNAME'] = 'from-environment'
  try {
    await using net = await testnet({ nodes: 1 })
    await using gateway = await createGateway({
      registry: net.registry,
      beacon: net.beacon,
      listen: '127.0.0.1:0',
      ephemeral: true,
    })
    assert.equal(gateway.status().node.hostname, null)
  } finally {
    delete process.env['PILOTGATE_HOSTNAME']
  }
})

test('docs/api.md names every export', () => {
  const root = dirname(dirname(import.meta.dirname))
  const docs = readFileSync(join(root, 'docs/api.md'), 'utf8')
  const names = ['src/index.ts', 'src/api/testnet.ts']
    .flatMap((file) => {
      const source = readFileSync(join(root, file), 'utf8')
      return [...source.matchAll(/^export (?:type )?\{([^}]*)\}/gm)]
        .flatMap((match) => match[1]!.split(',').map((name) => name.trim()))
        .concat([...source.matchAll(/^export (?:async )?(?:function|interface) (\w+)/gm)].map((match) => match[1]!))
    })
    .filter((name) => name !== '')
  assert.ok(names.length > 40)
  assert.deepEqual(
    names.filter((name) => !new RegExp(`\`(new )?${name}\\b`).test(docs)),
    [],
  )
})

function ownFolders(): string[] {
  return readdirSync(tmpdir())
    .filter((name) => name.startsWith('pilotgate-'))
    .sort()
}
