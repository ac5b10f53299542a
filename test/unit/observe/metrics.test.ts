/** The metrics of mappings to several peers; test/e2e/observe.test.ts reads a real gateway's whole page. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { metricsText } from '../../../src/observe/metrics.ts'
import { STATUS } from '../admin/control.ts'

test('each of several peers behind a mapping is reported up or down by name; a mapping to one peer has no such line', () => {
  const peer = { nodeId: 2, connections: 0, failures: 0, retryMs: null }
  const mappings = [
    ...STATUS.mappings,
    {
      ...STATUS.mappings[0]!,
      name: 'web',
      peers: [
        { ...peer, peer: 'agent-b', state: 'up' as const },
        { ...peer, peer: 'agent-c', state: 'ejected' as const, retryMs: 1_000 },
      ],
    },
  ]
  const lines = metricsText({ ...STATUS, mappings }, [], [], 0)
    .split('\n')
    .filter((line) => line.startsWith('pilotgate_mapping_peer_up'))
  assert.deepEqual(lines, [
    'pilotgate_mapping_peer_up{service="web",peer="agent-b"} 1',
    'pilotgate_mapping_peer_up{service="web",peer="agent-c"} 0',
  ])
})
