import { test } from 'node:test'
import assert from 'node:assert/strict'
import { PilotError } from '../../../../src/base/errors.ts'
import { admitOrigin } from '../../../../src/gateway/http/origin.ts'
import type { PageRequest } from '../../../../src/gateway/http/origin.ts'

const HOST = 'alice.pilot.localhost:8088'
const OWN = `http://${HOST}`

function admitted(asked: Partial<PageRequest>, allowed: readonly string[] = []): boolean {
  try {
    admitOrigin({ method: 'POST', upgrades: false, origin: undefined, site: undefined, ...asked }, HOST, allowed)
    return true
  } catch (error) {
    assert.ok(error instanceof PilotError && error.code === 'DENIED' && error.hint.includes('http.origins'))
    return false
  }
}

test('programs send no Origin and may do anything, as may pages from the same host', () => {
  assert.ok(admitted({}))
  assert.ok(admitted({ origin: OWN, site: 'same-origin' }))
  assert.ok(admitted({ origin: `https://${HOST.toUpperCase()}` }), 'behind TLS terminated by another proxy')
  assert.ok(admitted({ upgrades: true, method: 'GET', origin: OWN }))
  assert.ok(admitted({ site: 'none' }), 'typed into the address bar')
})

test('any other origin is refused requests that change something or open a two-way channel', () => {
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'LOCK'])
    assert.ok(!admitted({ method, origin: 'https://evil.example' }), method)
  assert.ok(!admitted({ origin: 'null' }), 'a sandboxed frame')
  assert.ok(!admitted({ site: 'cross-site' }))
  assert.ok(!admitted({ site: 'same-site' }), 'another peer: all of them are one site')
  assert.ok(!admitted({ origin: 'http://bob.pilot.localhost:8088' }))
  assert.ok(!admitted({ origin: 'http://alice.pilot.localhost:3000' }), 'another port')
  assert.ok(!admitted({ upgrades: true, method: 'GET', origin: 'https://evil.example' }))
})

test('reading is not refused: the service decides whether a page sees the answer', () => {
  for (const method of ['GET', 'HEAD', 'OPTIONS']) assert.ok(admitted({ method, origin: 'https://evil.example' }))
})

test('an origin named in the configuration may do anything', () => {
  assert.ok(admitted({ origin: 'http://localhost:3000' }, ['http://localhost:3000']))
  assert.ok(!admitted({ origin: 'http://localhost:3001' }, ['http://localhost:3000']))
})
