import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MAX_ENDPOINTS, formatPlacesFile, parsePlacesFile } from '../../../src/wire/places-file.ts'
import type { PlacesFile } from '../../../src/wire/places-file.ts'

const ENDPOINT = { address: '203.0.113.7', port: 4_000 }
const PLACE = {
  nodeId: 7,
  publicKey: 'a2V5',
  endpoints: [ENDPOINT, { address: '2001:db8::1', port: 1 }],
  extended: true,
}

test('a written file is read back unchanged', () => {
  const files: PlacesFile[] = [
    { places: [] },
    { udpPort: 4_001, places: [PLACE, { ...PLACE, nodeId: 8, extended: false }] },
  ]
  for (const file of files) assert.deepEqual(parsePlacesFile(formatPlacesFile(file)), file)
})

test('anything else in the file is ignored, and the rest is kept', () => {
  const good = JSON.parse(formatPlacesFile({ places: [PLACE] })) as { places: Record<string, unknown>[] }
  const bad = [
    null,
    7,
    [],
    {},
    { ...good.places[0], node_id: 0 },
    { ...good.places[0], node_id: 2 ** 32 },
    { ...good.places[0], public_key: '' },
    { ...good.places[0], public_key: 7 },
    { ...good.places[0], endpoints: undefined },
    { ...good.places[0], endpoints: 'x' },
    { ...good.places[0], endpoints: ['example.com:1', '203.0.113.7:0', '203.0.113.7', 5, null, '[::1]:99999'] },
  ]
  const text = JSON.stringify({ udp_port: 70_000, places: [...bad, good.places[0]] })
  assert.deepEqual(parsePlacesFile(text), { places: [PLACE] })
  for (const damaged of ['', '[]', 'null', '{"places":{}}', '{"places"', '\u0000'])
    assert.deepEqual(parsePlacesFile(damaged), { places: [] })
  const many = Array.from({ length: 9 }, (_, i) => `203.0.113.7:${i + 1}`)
  const [place] = parsePlacesFile(JSON.stringify({ places: [{ ...good.places[0], endpoints: many }] })).places
  assert.equal(place!.endpoints.length, MAX_ENDPOINTS)
})
