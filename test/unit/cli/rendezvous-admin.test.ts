/** `rendezvous nodes|networks|audit|remove` against a real registry, in this process and on loopback. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { askRegistry } from '../../../src/runtime/net/ask-registry.ts'
import { registryTarget } from '../../../src/runtime/net/endpoints.ts'
import { startRendezvous, type Rendezvous } from '../../../src/server/rendezvous.ts'
import { newIdentity } from '../server/registry/setting.ts'
import { run, testWorld, type Ran } from './world.ts'

const LOG = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }
const TOKEN = 'a-token-of-some-length'
let folder: string
let token: string
let rendezvous: Rendezvous

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pilotgate-admin-'))
  token = join(folder, 'token')
  await writeFile(token, `${TOKEN}\n`, { mode: 0o600 })
  rendezvous = await startRendezvous({
    registry: '127.0.0.1:0',
    beacon: '127.0.0.1:0',
    log: LOG,
    rules: { adminToken: TOKEN },
  })
  for (const number of [1, 2, 3])
    await askRegistry(registryTarget(rendezvous.registry), {
      type: 'register',
      public_key: newIdentity(number).publicKeyBase64,
      hostname: `agent-${number}`,
    })
})
after(async () => {
  await rendezvous.stop()
  await rm(folder, { recursive: true })
})

function admin(line: string, env: Record<string, string> = {}): Promise<Ran> {
  const modules = { registry: async () => ({ askRegistry }) }
  return run(`${line} --registry ${rendezvous.registry}`, testWorld({ modules, env }))
}

async function data<T>(line: string): Promise<T> {
  const { code, out, err } = await admin(`${line} --json --admin-token-file ${token}`)
  assert.equal(code, 0, out + err)
  return (JSON.parse(out) as { data: T }).data
}

test('nodes are listed, and one is removed by its hostname', async () => {
  const shown = await admin('rendezvous nodes', { PILOTGATE_ADMIN_TOKEN: TOKEN })
  assert.equal(shown.code, 0, shown.err)
  assert.match(shown.out, /^NODE +ADDRESS +HOSTNAME +PUBLIC +TAGS +SEEN$/m)
  assert.match(shown.out, /^ +1 +0:0000\.0000\.0001 +agent-1 +no +- +.* ago$/m)
  assert.match(shown.out, /^3 nodes$/m)
  assert.deepEqual(await data('rendezvous remove agent-3'), { nodeId: 3, network: null })
  const left = await data<{ node_id: number }[]>('rendezvous nodes')
  assert.deepEqual(
    left.map(({ node_id }) => node_id),
    [1, 2],
  )
  const missing = await admin(`rendezvous remove agent-3 --admin-token-file ${token}`)
  assert.equal(missing.code, 5)
  assert.match(missing.err, /agent-3: no such node is registered\nhint: .*rendezvous nodes/)
})

test('a network is created, listed and deleted, and every change is in the audit log', async () => {
  const created = await data<{ network: number }>('rendezvous networks create build --owner agent-1')
  const networks = await data<{ id: number; name: string; members: number }[]>('rendezvous networks')
  assert.deepEqual(
    networks.map(({ name, members }) => [name, members]),
    [
      ['backbone', 2],
      ['build', 1],
    ],
  )
  assert.deepEqual(await data(`rendezvous networks delete ${created.network}`), { network: created.network })
  const audit = await data<{ action: string }[]>('rendezvous audit --limit 2')
  assert.deepEqual(
    audit.map(({ action }) => action),
    ['network.deleted', 'network.created'],
  )
})

test('without the token, with a wrong one, and where it could be read on the way, nothing is sent', async () => {
  const none = await admin('rendezvous nodes')
  assert.deepEqual([none.code, none.err.includes('--admin-token-file')], [2, true])
  const wrong = await admin('rendezvous nodes', { PILOTGATE_ADMIN_TOKEN: 'not-the-token-at-all' })
  assert.equal(wrong.code, 1)
  assert.match(wrong.err, /the registry refuses/)
  const asked: object[] = []
  const modules = {
    registry: async () => ({
      askRegistry: async (_target: unknown, request: object) => {
        asked.push(request)
        return {}
      },
    }),
  }
  const open = await run(
    'rendezvous nodes --registry 192.0.2.1:9000',
    testWorld({ modules, env: { PILOTGATE_ADMIN_TOKEN: TOKEN } }),
  )
  assert.equal(open.code, 2)
  assert.match(open.err, /without TLS the admin token could be read.*\nhint: .*tls:\/\/192\.0\.2\.1:9000/)
  assert.deepEqual(asked, [])
})

test('a token file that others may read is warned of', async () => {
  const loose = join(folder, 'loose')
  await writeFile(loose, TOKEN, { mode: 0o644 })
  const { code, err } = await admin(`rendezvous networks --admin-token-file ${loose}`)
  assert.equal(code, 0)
  assert.match(err, /^warning: others on this machine may read .*chmod 600/)
})

test('a list longer than one reply is read to its end', async () => {
  const all = Array.from({ length: 25 }, (_, index) => ({
    node_id: index + 1,
    address: '0:0000.0000.0001',
    public: false,
    last_seen: new Date().toISOString(),
  }))
  const askPaged = async (_target: unknown, request: object): Promise<object> => {
    const { after_node_id: from } = request as { after_node_id: number }
    return { nodes: all.slice(from, from + 10) }
  }
  const modules = { registry: async () => ({ askRegistry: askPaged }) }
  const { out } = await run(
    'rendezvous nodes --registry 127.0.0.1:1',
    testWorld({ modules, env: { PILOTGATE_ADMIN_TOKEN: TOKEN } }),
  )
  assert.match(out, /^25 nodes$/m)
})
