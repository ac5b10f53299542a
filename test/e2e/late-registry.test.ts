/**
 * A gateway that starts before its registry: it reports this, keeps retrying, resets clients in the meantime, and needs
 * no restart.
 */
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { eventually, Gateway, Rendezvous, Stage } from './harness.ts'
import { echo, fate, talk } from './servers.ts'

let stage: Stage
before(async () => {
  stage = await Stage.open()
})
after(async () => stage.close())

test('started without a registry, a gateway waits for it, resets clients quickly, and then works without a restart', async (t) => {
  // The rendezvous runs once to get its ports, is killed, and comes back on them long after both gateways are up.
  const service = await echo(stage)
  const rendezvous = await Rendezvous.start(stage)
  await rendezvous.program.kill()
  const { registry, beacon } = rendezvous
  const [a, b] = await Promise.all([
    Gateway.start(stage, { name: 'agent-a', registry, beacon, trust: ['agent-b'], map: ['0:agent-b:80'] }),
    Gateway.start(stage, { name: 'agent-b', registry, beacon, trust: ['agent-a'], expose: [`80=${service.address}`] }),
  ])
  t.diagnostic(`ready without a registry after ${a.ready.elapsedMs} ms`)
  for (const gateway of [a, b]) {
    assert.equal(gateway.ready.node.nodeId, 0)
    assert.equal((await gateway.status()).registry?.state, 'unreachable')
    await gateway.program.log(
      'the registry is down',
      ({ code, level }) => code === 'REGISTRY_UNREACHABLE' && level >= 40,
    )
  }

  const mark = a.mark()
  const { ending, ms } = await fate(stage, a.local('agent-b:80'))
  assert.equal(ending, 'reset')
  assert.ok(ms < 1_500, `after ${ms} ms`)
  const line = await a.program.log('why the client was reset', ({ mapping }) => mapping === 'agent-b:80', {
    from: mark,
  })
  assert.equal(line.code, 'REGISTRY_UNREACHABLE')
  const { code, stdout } = await a.cli('ping', 'agent-b', '--count', '1', '--json')
  assert.deepEqual([code, (JSON.parse(stdout) as { code: string }).code], [5, 'REGISTRY_UNREACHABLE'])

  const began = performance.now()
  await rendezvous.restart()
  await Promise.all([a.trusts('agent-b'), b.trusts('agent-a')])
  await eventually(
    'a connection works',
    async () =>
      await talk(stage, a.local('agent-b:80'), Buffer.from('works')).then(
        (reply) => reply.toString() === 'works' || undefined,
        () => undefined,
      ),
  )
  t.diagnostic(`works ${((performance.now() - began) / 1_000).toFixed(1)} s after the registry was started`)
  assert.ok((await a.status()).node.nodeId > 0)
})
