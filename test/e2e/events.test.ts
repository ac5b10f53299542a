/**
 * Events and streams of commands between two gateways: the broker of one, subscribers and publishers of both; `nc` with
 * half-closes, exit codes and as ProxyCommand; a thousand subscribers of which one stalls.
 */
import { after, before, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createGateway } from '../../src/api/create.ts'
import { localPair } from '../../src/services/events/local-pair.ts'
import { EventLink } from '../../src/services/events/event-link.ts'
import { EventService } from '../../src/services/events/event-service.ts'
import { eventually, pair, pause, Stage } from './harness.ts'
import type { Gateway, Pair, Ran } from './harness.ts'
import { cleanEnvironment, MAIN } from './program.ts'
import type { Program } from './program.ts'
import { echo } from './servers.ts'

describe('events between two gateways', { concurrency: false }, () => {
  let stage: Stage
  let both: Pair
  before(async () => {
    stage = await Stage.open()
    const service = await echo(stage)
    both = await pair(
      stage,
      { args: ['--http', '127.0.0.1:0'] },
      {
        args: ['--serve', 'events'],
        expose: [
          `4000=${service.address}`,
          '1000=exec:tr a-z A-Z',
          '1010=exec:echo "$PILOT_HOSTNAME"; exit 3',
          '1011=exec:sleep 60',
        ],
      },
    )
  })
  after(async () => stage.close())

  /** A `sub` that is known to be subscribed: events are published until it has printed one. */
  async function subscriber(topic: string, published: string, ...more: readonly string[]): Promise<Program> {
    const { a } = both
    const program = stage.start(['sub', 'agent-b', topic, ...more, '--admin', a.admin], { label: `sub ${topic}` })
    await eventually(`subscribed to ${topic}`, async () => {
      await a.json('pub', 'agent-b', published, '--data', 'ready?')
      return program.stdout.includes('ready?') ? true : undefined
    })
    return program
  }

  test('what is published reaches subscribers of its topic and of all, as lines and as JSON', async () => {
    const { a } = both
    const [named, all] = await Promise.all([subscriber('builds', 'builds', '--json'), subscriber('*', 'builds')])
    await a.json('pub', 'agent-b', 'builds', '--data', 'done')
    await a.json('pub', 'agent-b', 'other', '--data', 'x')
    await eventually('printed', () =>
      all.stdout.includes('other: x') && named.stdout.includes('done') ? true : undefined,
    )
    assert.match(all.stdout, /builds: done\nother: x\n$/)
    assert.deepEqual(JSON.parse(named.stdout.trim().split('\n').at(-1)!), { topic: 'builds', data: 'done', bytes: 4 })
    assert.ok(!named.stdout.includes('other'))
  })

  test('lines of standard input are events, in order; time that is over ends a subscription', async () => {
    const { a } = both
    const waiting = await subscriber('log', 'log', '--json')
    const published = await withInput(a, ['pub', 'agent-b', 'log', '--lines'], 'one\ntwo\nthree')
    assert.equal(published.code, 0, published.stderr)
    await eventually('printed', () => (waiting.stdout.includes('three') ? true : undefined))
    const data = waiting.stdout
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { data: string }).data)
    assert.deepEqual(data.slice(-3), ['one', 'two', 'three'])
    const silence = ['sub', 'agent-b', 'silence', '--timeout', '1s']
    assert.equal((await a.cli(...silence)).code, 0)
    assert.equal((await a.cli(...silence, '--count', '1')).code, 124)
  })

  test('a gateway without a broker refuses, with a code', async () => {
    const refused = await both.b.cli('pub', 'agent-a', 'x', '--data', 'y', '--json')
    assert.deepEqual([refused.code, (JSON.parse(refused.stdout) as { code: string }).code], [5, 'CONNECTION_REFUSED'])
  })

  test('a program that knows only HTTP subscribes and publishes at the front; a page of another site may not publish', async () => {
    const { a } = both
    const front = a.ready.http!
    const url = (path: string): string => `http://${front}/events/${path}`
    const leave = new AbortController()
    const stream = await fetch(url('agent-b/web'), { signal: leave.signal })
    assert.deepEqual([stream.status, stream.headers.get('content-type')], [200, 'text/event-stream'])
    const publish = (): Promise<Response> => fetch(url('agent-b/web'), { method: 'POST', body: 'hello' })
    assert.equal((await publish()).status, 204)
    const again = setInterval(() => void publish().catch(() => {}), 1_000) // the subscription may come later than its answer
    const { value } = await stream.body!.getReader().read()
    clearInterval(again)
    const [line] = Buffer.from(value!).toString().split('\n')
    assert.deepEqual(JSON.parse(line!.replace('data: ', '')), { topic: 'web', data: 'hello', bytes: 5 })
    leave.abort()
    const foreign = await fetch(url('agent-b/web'), {
      method: 'POST',
      body: 'x',
      headers: { origin: 'http://evil.example' },
    })
    assert.equal(foreign.status, 403)
    const unknown = await fetch(url('no-such-peer/web'))
    assert.deepEqual(
      [unknown.status, ((await unknown.json()) as { error: { code: string } }).error.code],
      [404, 'NOT_FOUND'],
    )
    assert.equal((await fetch(url('agent-b'))).status, 404)
    assert.equal((await fetch(url('self/web'))).status, 400) // it has no broker
    const list = await fetch(`http://${front}/`)
    assert.equal(list.status, 200)
  })

  // ── nc ───────────────────────────────────────────────────────────────────────────────────────────────────────────

  test('nc carries both directions, each with its own end; the default port is 1000', async () => {
    const { a } = both
    const content = 'x'.repeat(300_000)
    assert.equal((await withInput(a, ['nc', 'agent-b:4000'], content)).stdout, content)
    assert.equal((await withInput(a, ['nc', 'agent-b'], 'loud')).stdout, 'LOUD') // tr answers after the end of its input
    const told = await withInput(a, ['nc', 'agent-b:1010'], '')
    assert.equal(told.stdout.trim(), 'agent-a')
  })

  test('nc has the exit codes of dialling, and says when the stream breaks', async () => {
    const { a, b } = both
    for (const [target, code] of [
      ['agent-b:4242', 5],
      ['no-such-peer:80', 5],
      ['agent-b:99999', 2],
    ] as const)
      assert.equal((await withInput(a, ['nc', target], '')).code, code, target)
    const none = await stage.pilotgate(['nc', 'agent-b', '--admin', stage.path('none.sock')])
    assert.equal(none.code, 3)
    const broken = withInput(a, ['nc', 'agent-b:1011'], undefined)
    await eventually('it is open', async () => ((await b.connections()).length > 0 ? true : undefined))
    await b.program.kill()
    const { code, stderr } = await broken
    assert.deepEqual([code, /PEER_RESET|stream broke/.test(stderr)], [5, true], stderr)
  })
})

/** A command with this on its standard input; undefined: it stays open. */
function withInput(gateway: Gateway, args: readonly string[], input: string | undefined): Promise<Ran> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [MAIN, ...args, '--admin', gateway.admin], {
      env: cleanEnvironment(gateway.stateDir),
    })
    let [stdout, stderr] = ['', '']
    child.stdout.on('data', (part: Buffer) => (stdout += part.toString()))
    child.stderr.on('data', (part: Buffer) => (stderr += part.toString()))
    child.stdin.on('error', () => {}) // it ends before it has read
    const timer = setTimeout(() => child.kill('SIGKILL'), 60_000)
    child.once('close', (code) => {
      clearTimeout(timer)
      resolve({ code, stdout, stderr })
    })
    if (input !== undefined) child.stdin.end(input)
  })
}

test('a thousand subscribers in one process, one of them stalled: the others lose nothing, its losses are counted', async () => {
  const log = { debug() {}, info() {}, warn() {}, error() {} }
  const service = new EventService({}, log)
  const payload = Buffer.alloc(20_000, 1)
  const got = Array.from({ length: 999 }, () => 0)
  const reading = got.map(async (_, index) => {
    const [near, far] = localPair()
    void service.attend(far, `node ${index}`)
    for await (const event of new EventLink(near, 'news').events()) {
      assert.equal(event.payload.length, payload.length)
      got[index]! += 1
      if (got[index] === 120) break
    }
    near.destroy()
  })
  const [stalled, far] = localPair()
  void service.attend(far, 'stalled')
  const link = new EventLink(stalled, 'news')
  await pause(200)
  for (let i = 0; i < 120; i++) {
    service.publish({ topic: 'news', payload })
    await new Promise((resolve) => setImmediate(resolve))
  }
  await Promise.all(reading)
  assert.deepEqual(new Set(got), new Set([120]))
  const { events_dropped: dropped, events_published: published } = service.broker.counters
  assert.equal(published, 120)
  assert.ok(dropped > 40 && dropped < 80, `${dropped}`)
  link.destroy()
})

test('the library publishes to and subscribes at its own broker and those of peers', async () => {
  const stage = await Stage.open()
  try {
    const { a, rendezvous } = await pair(stage, { args: ['--serve', 'events'] }, {})
    await using gateway = await createGateway({
      registry: rendezvous.registry,
      beacon: rendezvous.beacon,
      hostname: 'library',
      listen: '127.0.0.1:0',
      stateDir: stage.path('library'),
      serve: ['events'],
      trust: ['agent-a'],
    })
    await a.json('trust', 'request', 'library')
    await a.trusts('library')
    await eventually('mutual', async () => ((await gateway.trusted()).length === 1 ? true : undefined))
    for (const peer of [null, 'agent-a']) {
      const first = (async () => {
        for await (const event of gateway.events.subscribe(peer, 'news')) return Buffer.from(event.payload).toString()
        return undefined
      })()
      const timer = setInterval(() => void gateway.events.publish(peer, 'news', Buffer.from('hi')), 300)
      assert.equal(await first, 'hi')
      clearInterval(timer)
    }
    await assert.rejects(gateway.events.publish(null, '*', Buffer.alloc(0)), { code: 'USAGE' })
  } finally {
    await stage.close()
  }
})
