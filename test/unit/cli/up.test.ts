/**
 * `up` and `rendezvous` with fake gateways: what is started with which options, what is printed in which order, and how
 * it ends.
 */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PilotError } from '../../../src/base/errors.ts'
import type { GatewayEvent, ReadyEvent } from '../../../src/gateway/model/events.ts'
import type { GatewayOptions } from '../../../src/gateway/model/options.ts'
import { stopRequests } from '../../../src/cli/stop.ts'
import type { Modules } from '../../../src/cli/world.ts'
import type { LogLevel } from '../../../src/runtime/log.ts'
import { NO_CHANGES, RECENT, STATUS, fakeControl } from '../admin/control.ts'
import { run, testWorld, type Ran, type TestWorld } from './world.ts'

const MAPPED: GatewayEvent = { event: 'mapped', ...STATUS.mappings[0]! }
const EXPOSED: GatewayEvent = { event: 'exposed', ...STATUS.exposures[0]! }
const READY: ReadyEvent = {
  event: 'ready',
  node: STATUS.node,
  udp: '127.0.0.1:40001',
  admin: '/run/a.sock',
  http: null,
  mappings: STATUS.mappings,
  exposures: STATUS.exposures,
  elapsedMs: 812,
}
const LATER: readonly GatewayEvent[] = [
  { event: 'trust', peer: 'agent-b', nodeId: 2, state: 'approved', nameVerified: true, fingerprint: null },
  {
    event: 'path',
    peer: 'agent-b',
    nodeId: 2,
    kind: 'relay',
    endpoint: '127.0.0.1:9001',
    transport: 'udp',
    rttMs: 0.4,
    mtu: 1400,
  },
]

test('events are printed as they happen, ready once and after the admin socket is open', async () => {
  const { world, trace, options } = upWorld()
  const running = run(
    'up --json --hostname agent-a --map 8080:agent-b:80 --map agent-c:81 --expose 80=3000 --trust agent-b --admin /run/a.sock --state-dir /s',
    world,
  )
  await settled(world)
  while (!trace.steps.some((step) => step.startsWith('admin '))) await pause(5)
  await pause(20) // then it says that it is ready
  for (const event of LATER) trace.onEvent!(event)
  world.signal()
  assert.deepEqual(await running, {
    code: 0,
    out: [MAPPED, EXPOSED, READY, ...LATER].map((event) => `${JSON.stringify({ v: 1, ...event })}\n`).join(''),
    err: '',
  })
  assert.deepEqual(trace.steps, ['log info', 'gateway', 'admin /run/a.sock', 'gateway stop 7000', 'admin stop'])
  assert.deepEqual(
    [options().hostname, options().stateDir, options().trust, options().maps.map((map) => map.name)],
    ['agent-a', '/s', ['agent-b'], ['agent-b:80', 'agent-c:81']],
  )
})

test('the text output is lines, and nothing with --quiet', async () => {
  const loud = await start('up -v')
  assert.deepEqual(loud.out.split('\n'), [
    'mapped   127.77.0.2:80 → agent-b, 0:0000.0000.0002:80',
    'exposed  port 80 → tcp://127.0.0.1:3000 for every trusted peer',
    'ready    agent-a (0:0000.0000.0001), udp 127.0.0.1:40001, admin /run/a.sock, after 812 ms',
    'draining for up to 7 s; interrupt again to stop immediately',
    '',
  ])
  assert.equal((await start('-q up')).out, '')
})

test('a person at a terminal sees a screen, then news, then that it has stopped; not a path', async () => {
  const { world, trace } = upWorld({}, {}, { terminal: true, columns: 80 })
  const running = run('up', world)
  await settled(world)
  for (const event of LATER) trace.onEvent!(event)
  world.signal()
  const { out } = await running
  assert.deepEqual(out.replace(/\d\d:\d\d:\d\d/g, 'TIME').split('\n'), [
    'pilotgate 0.1.0, agent-a (0:0000.0000.0001)',
    '',
    'Shared     127.0.0.1:3000, with every trusted peer',
    'Mapped     http://127.77.0.2/ → port 80 of agent-b',
    '',
    'TIME  agent-b and this node trust each other',
    '',
    'draining for up to 7 s; interrupt again to stop immediately',
    'Stopped.',
    '',
  ])
})

test('visitors and guests are shown with what they use, as the screen calls it', async () => {
  const { world, trace } = upWorld({}, {}, { terminal: true, columns: 80 })
  const running = run('up', world)
  await settled(world)
  trace.onEvent!({ event: 'ticket', state: 'used', service: '80', peer: 'agent-b', nodeId: 2 })
  const { connections } = RECENT
  trace.onEvent!({ event: 'connection', ...connections[1]!, state: 'opened' })
  world.signal()
  const { out } = await running
  assert.match(out, /agent-b joined with a ticket for 127\.0\.0\.1:3000\n/)
  assert.match(out, /bob \(agent-b\) connected to 127\.0\.0\.1:3000\n/)
})

test('a reader of --json that stalls loses events of connections, and no others', async () => {
  const event: GatewayEvent = { event: 'connection', state: 'ended', ...RECENT.connections[0]! }
  for (const [outBacklogBytes, seen] of [
    [0, true],
    [2_000_000, false],
  ] as const) {
    const { world, trace } = upWorld({}, {}, { outBacklogBytes })
    const running = run('up --json', world)
    await settled(world)
    trace.onEvent!(event)
    trace.onEvent!(LATER[0]!)
    world.signal()
    const { out } = await running
    assert.deepEqual([out.includes('"connection"'), out.includes('"trust"')], [seen, true])
  }
})

test('-v and -q set the log level', async () => {
  for (const [line, level] of [
    ['up', 'info'],
    ['up -v', 'debug'],
    ['up -q', 'error'],
  ] as const) {
    const { world, trace } = upWorld()
    await start(line, world)
    assert.equal(trace.steps[0], `log ${level}`)
  }
})

test('a second signal does not wait for connections to end', async () => {
  const { world, trace } = upWorld({ stop: (graceMs) => (graceMs > 0 ? new Promise(() => {}) : Promise.resolve()) })
  const running = run('up', world)
  await settled(world)
  world.signal('SIGINT')
  world.signal('SIGINT') // the same Ctrl+C, passed on by npm
  await settled(world)
  assert.deepEqual(trace.steps.slice(-1), ['gateway stop 7000'])
  await new Promise((resolve) => {
    setTimeout(resolve, 320)
  })
  world.signal('SIGINT')
  assert.equal((await running).code, 0)
  assert.deepEqual(trace.steps.slice(-3), ['gateway stop 7000', 'gateway stop 0', 'admin stop'])
})

test('a signal before the gateway is up also ends it', async () => {
  const { world, trace } = upWorld({ startMs: 500 })
  const running = run('up', world)
  await settled(world)
  world.signal()
  assert.equal((await running).code, 0)
  assert.deepEqual(trace.steps, ['log info', 'gateway', 'gateway stop 0'])
})

test('if the admin socket cannot be opened the gateway stops with the conflict exit code', async () => {
  const { world, trace } = upWorld({ admin: () => Promise.reject(new PilotError('CONFLICT', 'another gateway runs')) })
  const { code, out } = await run('up --json', world)
  assert.equal(code, 6)
  assert.deepEqual(trace.steps, ['log info', 'gateway', 'gateway stop 0'])
  assert.ok(!out.includes('"ready"'))
})

test('if another gateway answers on the admin socket nothing is started', async () => {
  const { world, trace } = upWorld({ taken: () => Promise.reject(new PilotError('CONFLICT', 'another gateway runs')) })
  assert.equal((await run('up', world)).code, 6)
  assert.deepEqual(trace.steps, ['log info'])
})

test('the file comes from -c or PILOTGATE_CONFIG, and its mistakes exit 2', async () => {
  const { world, options } = upWorld()
  await start('up -c config/gateway.example.yaml --registry 127.0.0.1:1', world)
  assert.deepEqual([options().registry, options().hostname, options().maps.length], ['127.0.0.1:1', 'my-gateway', 13])
  const { world: byEnv, options: envOptions } = upWorld({}, { PILOTGATE_CONFIG: 'config/gateway.example.yaml' })
  await start('up', byEnv)
  assert.equal(envOptions().hostname, 'my-gateway')
  assert.equal((await run('up -c config/demo.proto', upWorld().world)).code, 2)
})

test('rendezvous prints where it listens and ends on a signal', async () => {
  for (const [line, expected] of [
    ['rendezvous --json', { registry: '127.0.0.1:9000', beacon: '127.0.0.1:9001' }],
    [
      'rendezvous --json --registry 127.0.0.1:0 --beacon 127.0.0.1:0 --store /s',
      { registry: '127.0.0.1:0', beacon: '127.0.0.1:0', storeDir: '/s' },
    ],
  ] as const) {
    let started: object = {}
    let stopped = 0
    const world = testWorld({
      modules: {
        log: logModule([]),
        rendezvous: async () => ({
          startRendezvous: async ({ log: _, ...options }) => {
            started = options
            return {
              registry: '127.0.0.1:5',
              beacon: '127.0.0.1:6',
              stop: async () => void stopped++,
              reloadCertificate,
            }
          },
        }),
      },
    })
    const { code, out } = await start(line, world)
    assert.deepEqual(
      [code, out, started, stopped],
      [0, '{"v":1,"event":"ready","registry":"127.0.0.1:5","beacon":"127.0.0.1:6"}\n', expected, 1],
    )
  }
})

test('on SIGHUP a rendezvous reads its certificate again, and says so if it is a new one', async () => {
  let reloads = 0
  const world = testWorld({
    modules: {
      log: logModule([]),
      rendezvous: async () => ({
        startRendezvous: async () => ({
          registry: '127.0.0.1:5',
          beacon: '127.0.0.1:6',
          stop: async () => undefined,
          reloadCertificate: async () => {
            reloads += 1
            if (reloads === 2) throw new PilotError('USAGE', 'not a certificate')
            return await reloadCertificate()
          },
        }),
      }),
    },
  })
  const running = run('rendezvous --json', world)
  await settled(world)
  world.hangUp()
  world.hangUp() // a bad file ends nothing
  await settled(world)
  world.signal()
  const { code, out } = await running
  assert.deepEqual([code, reloads], [0, 2])
  assert.deepEqual(out.trimEnd().split('\n').slice(1), ['{"v":1,"event":"certificate","fingerprint":"cd"}'])
})

test('rendezvous passes on every flag and variable, the admin token only from a file or the environment, and shows the result', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'pilotgate-cli-'))
  const token = join(folder, 'token')
  await writeFile(token, 'a-token-of-some-length\n')
  const rules = { adminToken: 'a-token-of-some-length' }
  for (const [line, env, expected] of [
    [
      `rendezvous --admin-token-file ${token} --compat unsigned-roles,one-sided-trust --compat owner-recovery --require-signed-register`,
      {},
      {
        rules: {
          ...rules,
          compat: new Set(['unsigned-roles', 'one-sided-trust', 'owner-recovery']),
          requireSignedRegister: true,
        },
      },
    ],
    ['rendezvous --http 9002', { PILOTGATE_ADMIN_TOKEN: 'a-token-of-some-length' }, { http: '127.0.0.1:9002', rules }],
    [
      'rendezvous --tls-cert c.pem --tls-key k.pem --tls-only',
      { PILOTGATE_HTTP: '0.0.0.0:80' },
      { http: '0.0.0.0:80', tlsCertFile: 'c.pem', tlsKeyFile: 'k.pem', tlsOnly: true },
    ],
    [
      'rendezvous --beacon-id 3 --beacon-peer 192.0.2.1:9001 --beacon-peer [2001:db8::1]:9001',
      {},
      {
        beaconRules: {
          beaconId: 3,
          peers: [
            { address: '192.0.2.1', port: 9001 },
            { address: '2001:db8::1', port: 9001 },
          ],
        },
      },
    ],
  ] as const) {
    let started: object = {}
    const world = testWorld({
      env,
      modules: {
        log: logModule([]),
        rendezvous: async () => ({
          startRendezvous: async ({ log: _, ...options }) => {
            started = options
            return { ...BOUND, http: '127.0.0.1:7', fingerprint: 'ab', reloadCertificate, stop: async () => undefined }
          },
        }),
      },
    })
    const { code, out } = await start(line, world)
    assert.equal(code, 0)
    assert.match(
      out,
      /^ready {4}registry 127\.0\.0\.1:5, beacon 127\.0\.0\.1:6, status http:\/\/127\.0\.0\.1:7\/\n {9}TLS fingerprint ab\n/m,
    )
    assert.deepEqual(started, { registry: '127.0.0.1:9000', beacon: '127.0.0.1:9001', ...expected })
  }
  await writeFile(token, 'short')
  assert.equal((await run(`rendezvous --admin-token-file ${token}`, testWorld())).code, 2)
  await rm(folder, { recursive: true })
})

test('one key press that arrives several times is one request', async () => {
  let now = 0
  const world = testWorld()
  const stops = stopRequests(world, () => now)
  let second = false
  void stops.second.then(() => {
    second = true
  })
  world.signal('SIGINT')
  now = 200
  world.signal('SIGTERM')
  assert.equal(await stops.first, 'SIGINT')
  await settled(world)
  assert.equal(second, false)
  now = 400
  world.signal('SIGINT')
  await stops.second
})

const BOUND = { registry: '127.0.0.1:5', beacon: '127.0.0.1:6' }
const reloadCertificate = async () => ({ fingerprint: 'cd', changed: true })

interface Trace {
  readonly steps: string[]
  onEvent?: (event: GatewayEvent) => void
}

function upWorld(
  how: {
    readonly stop?: (graceMs: number) => Promise<void>
    readonly startMs?: number
    readonly admin?: () => Promise<never>
    readonly taken?: () => Promise<never>
  } = {},
  env: Record<string, string> = {},
  terminal: { readonly terminal?: boolean; readonly columns?: number; readonly outBacklogBytes?: number } = {},
) {
  const trace: Trace = { steps: [] }
  let given: GatewayOptions | undefined
  const modules: Partial<Modules> = {
    log: logModule(trace.steps),
    observe: async () => ({ startObserve: async ({ listen }) => ({ address: listen, stop: async () => {} }) }),
    gateway: async () => ({
      startGateway: async (options, { onEvent }) => {
        trace.steps.push('gateway')
        given = options
        trace.onEvent = onEvent
        if (how.startMs !== undefined)
          await new Promise((resolve) => {
            setTimeout(resolve, how.startMs)
          })
        else for (const event of [MAPPED, EXPOSED]) onEvent(event)
        return {
          ...fakeControl([]),
          ready: () => READY,
          desired: { maps: [], exposes: [], trust: [] },
          changes: () => NO_CHANGES,
          apply: async () => NO_CHANGES,
          fault: () => {},
          dial: () => Promise.reject(new Error('no overlay here')),
          stop: async (graceMs) => {
            trace.steps.push(`gateway stop ${graceMs}`)
            await how.stop?.(graceMs)
          },
        }
      },
    }),
    admin: async () => ({
      makeRoom: how.taken ?? (async () => {}),
      startAdmin:
        how.admin ??
        (async ({ socketPath }) => {
          trace.steps.push(`admin ${socketPath}`)
          return { stop: async () => void trace.steps.push('admin stop') }
        }),
    }),
  }
  return { world: testWorld({ modules, env, ...terminal }), trace, options: () => given! }
}

function logModule(steps: string[]): Modules['log'] {
  return async () => ({
    createLogger: (level: LogLevel) => {
      steps.push(`log ${level}`)
      return { debug() {}, info() {}, warn() {}, error() {} }
    },
  })
}

/** Starts it, signals once it is up, and waits for the end. */
async function start(line: string, world: TestWorld = upWorld().world): Promise<Ran> {
  const running = run(line, world)
  await settled(world)
  world.signal()
  return await running
}

/** Files are read and modules loaded before the command handles signals; what follows needs no timer. */
async function settled(world: TestWorld): Promise<void> {
  const deadline = Date.now() + 30_000
  do
    await new Promise((resolve) => {
      setTimeout(resolve, 20)
    })
  while (!world.stoppable() && Date.now() < deadline)
  await new Promise((resolve) => {
    setTimeout(resolve, 50)
  })
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms)
  })
}
