/** Several nodes behind one mapping: one is killed under load, and comes back. */
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { MappedRecord } from '../../src/gateway/model/records.ts'
import { askRegistry } from '../interop/ask-registry.ts'
import { address, eventually, Gateway, pause, Rendezvous, Stage } from './harness.ts'

let stage: Stage
before(async () => {
  stage = await Stage.open()
})
after(async () => stage.close())

interface Answer {
  readonly startedAt: number
  readonly endedAt: number
  readonly text: string | undefined
  readonly error: string | undefined
}

/** One request on its own connection. */
async function ask(local: string): Promise<Answer> {
  const startedAt = performance.now()
  const { host, port } = address(local)
  return await new Promise((resolve) => {
    const done = (text: string | undefined, error: string | undefined): void =>
      resolve({ startedAt, endedAt: performance.now(), text, error })
    const call = request({ host, port, agent: false, timeout: 30_000 }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part
      })
      response.on('error', (error) => done(undefined, error.message))
      response.on('end', () => done(text, undefined))
    })
    call.on('timeout', () => call.destroy(new Error('timed out')))
    call.on('error', (error) => done(undefined, error.message))
    call.end()
  })
}

async function service(name: string): Promise<string> {
  const server = createServer((_, response) => setTimeout(() => response.end(name), 20)) // some are always in progress
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  stage.defer(async () => {
    server.close()
  })
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function three(map: string): Promise<{ a: Gateway; b: Gateway; c: Gateway; local: string }> {
  const { registry, beacon } = await Rendezvous.start(stage, stage.path(`rv-${map.length}`))
  const start = async (name: string, trust: string[], more: { map?: string[]; expose?: string[] }): Promise<Gateway> =>
    await Gateway.start(stage, { name, folder: `${name}-${map.length}`, registry, beacon, trust, ...more })
  const [a, b, c] = await Promise.all([
    start('agent-a', ['agent-b', 'agent-c'], { map: [`0:${map}`] }),
    start('agent-b', ['agent-a'], { expose: [`80=${await service('b')}`] }),
    start('agent-c', ['agent-a'], { expose: [`80=${await service('c')}`] }),
  ])
  await Promise.all([a.trusts('agent-b'), a.trusts('agent-c'), b.trusts('agent-a'), c.trusts('agent-a')])
  const local = a.ready.mappings[0]!.local
  await eventually(
    'both answer',
    async () =>
      new Set((await Promise.all([ask(local), ask(local), ask(local), ask(local)])).map(({ text }) => text)).size ===
        2 || undefined,
  )
  return { a, b, c, local }
}

/** Clients in a row, with a given concurrency, until stopped. */
function load(local: string, clients: number): { stop(): Promise<readonly Answer[]> } {
  const answers: Answer[] = []
  const stopping = new AbortController()
  const client = async (): Promise<void> => {
    while (!stopping.signal.aborted) answers.push(await ask(local))
  }
  const clientsEnd = Promise.all(Array.from({ length: clients }, client))
  return {
    stop: async () => {
      stopping.abort()
      await clientsEnd
      return answers
    },
  }
}

function peersIn(mappings: readonly MappedRecord[]): Record<string, string> {
  return Object.fromEntries(mappings[0]!.peers!.map(({ peer, state }) => [peer, state]))
}

test('one of two peers is killed under load: only requests in progress on it fail, and it is used again once it is back', async () => {
  const { a, c, local } = await three('agent-b|agent-c:80')
  const running = load(local, 8)
  await pause(1_000)
  const killedAt = performance.now()
  await c.program.kill()
  await pause(6_000)
  const answers = await running.stop()
  const failed = answers.filter(({ error }) => error !== undefined)
  const outside = failed.filter(({ startedAt, endedAt }) => startedAt > killedAt + 20 || endedAt < killedAt)
  assert.deepEqual(outside, [], 'a client without a request in progress saw an error')
  assert.ok(failed.length <= 8, `${failed.length} of eight at once`)
  const later = answers.filter(({ startedAt }) => startedAt > killedAt + 100)
  assert.ok(later.length > 50 && later.every(({ text }) => text === 'b'), `${later.length} answers`)
  const slowest = Math.max(...later.map(({ startedAt, endedAt }) => endedAt - startedAt))
  assert.ok(slowest < 8_000, `the slowest waited ${Math.round(slowest)} ms`)
  assert.deepEqual(peersIn(await a.mappings()), { 'agent-b': 'up', 'agent-c': 'ejected' })
  await c.restart()
  await eventually('agent-c answers again', async () => (await ask(local)).text === 'c' || undefined, 45_000)
  assert.deepEqual(peersIn(await a.mappings()), { 'agent-b': 'up', 'agent-c': 'up' })
})

test('a tag stands for the nodes that carry it; probes find failures on their own, and no client has to wait', async () => {
  // Found by tag, admitted by tag and by network: agent-a has the tag "client" and is a member of network 1.
  const adminToken = 'a token of the test, long enough'
  const { registry, beacon } = await Rendezvous.start(stage, stage.path('rv-tags'), {
    PILOTGATE_ADMIN_TOKEN: adminToken,
  })
  const start = async (
    name: string,
    node: string,
    trust: string[],
    more: { map?: string[]; expose?: string[] },
  ): Promise<Gateway> => {
    const file = stage.path(`${name}.yaml`)
    await writeFile(file, `version: 1\nnode: { ${node} }\n`)
    return await Gateway.start(stage, {
      name,
      folder: `${name}-tags`,
      registry,
      beacon,
      trust,
      args: ['-c', file],
      ...more,
    })
  }
  const b = await start('agent-b', 'tags: [web, lab]', ['agent-a'], {
    expose: [`80=${await service('b')},allow=tag:client`, `81=${await service('b')},allow=tag:nobody`],
  })
  assert.equal(
    (
      await askRegistry(registry, {
        type: 'create_network',
        node_id: b.ready.node.nodeId,
        name: 'lab',
        admin_token: adminToken,
      })
    )['type'],
    'create_network_ok',
  )
  const [a] = await Promise.all([
    start('agent-a', 'tags: [client], networks: [1]', ['agent-b', 'agent-c'], {
      map: ['0:tag:web:80,balance=least-connections,probe=1,probe-http=/', '0:tag:web:81'],
    }),
    start('agent-c', 'tags: [web]', ['agent-a'], { expose: [`80=${await service('c')},allow=net:1`] }),
  ])
  const [local, denied] = a.ready.mappings.map((mapping) => mapping.local) as [string, string]
  await eventually(
    'both answer',
    async () =>
      new Set((await Promise.all([ask(local), ask(local), ask(local), ask(local)])).map(({ text }) => text)).size ===
        2 || undefined,
    40_000,
  )
  assert.notEqual((await ask(denied)).error, undefined)
  await b.program.kill()
  await eventually(
    'a probe finds it down',
    async () => peersIn(await a.mappings())['agent-b'] === 'ejected' || undefined,
    20_000,
  )
  const answers = await Promise.all(Array.from({ length: 10 }, () => ask(local)))
  assert.ok(answers.filter(({ text }) => text === 'c').length === 10, JSON.stringify(answers))
  await b.restart()
  await eventually(
    'a probe finds it up again',
    async () => peersIn(await a.mappings())['agent-b'] === 'up' || undefined,
    40_000,
  )
})
