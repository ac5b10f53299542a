/** A mapping to several peers, as written in a file. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PilotError } from '../../../src/base/errors.ts'
import { withMapping } from '../../../src/config/edit.ts'
import { parseConfig } from '../../../src/config/load.ts'
import { mapsOf } from '../../../src/config/options.ts'
import { parseMapSpec } from '../../../src/gateway/model/map-spec.ts'

test('a list of peers is read like the bar notation', () => {
  const config = parseConfig(
    'version: 1\nmap:\n  - { peer: [a, "[0:0000.0000.0004]"], port: 80, balance: least-connections, probe: 10 }\n',
    'g.yaml',
  )
  assert.deepEqual(mapsOf(config), [parseMapSpec('a|0:0000.0000.0004:80,balance=least-connections,probe=10')])
})

test('the time between probes is seconds, or a duration', () => {
  for (const written of ['90', '90s']) assert.equal(parseMapSpec(`a|b:80,probe=${written}`).probe, 90)
  for (const written of ['90', '"90s"', '{ every: "90s", http: /z }']) {
    const config = parseConfig(`version: 1\nmap: [{ peer: [a, b], port: 80, probe: ${written} }]`, 'g.yaml')
    assert.equal(mapsOf(config)[0]!.probe, 90, written)
  }
  for (const wrong of ['0s', '2h', 'soon', '1.5'])
    assert.throws(() => parseMapSpec(`a|b:80,probe=${wrong}`), { code: 'USAGE' }, wrong)
})

test('an entry saved by a command is read back unchanged', () => {
  for (const text of [
    'a|b:80',
    '0:0000.0000.0004|b:80,balance=least-connections,probe=7,path=direct',
    'a:80,path=prefer-direct',
  ]) {
    assert.deepEqual(
      mapsOf(parseConfig(withMapping('version: 1\n', parseMapSpec(text), false), 'g.yaml')),
      [parseMapSpec(text)],
      text,
    )
  }
})

test('an empty list, a peer named twice, and an unknown policy or pause are refused', () => {
  for (const entry of [
    'peer: []',
    'peer: [a, a]',
    'peer: [a, A]',
    'peer: a, balance: random',
    'peer: a, probe: 0',
    'peer: a, probe: 4000',
  ]) {
    assert.throws(() => parseConfig(`version: 1\nmap:\n  - { ${entry}, port: 80 }\n`, 'g.yaml'), PilotError, entry)
  }
})
