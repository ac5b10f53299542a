/** Command lines go in, exit code and both streams come out; the gateway behind the admin socket is a fake. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { PilotError } from '../../../src/base/errors.ts'
import type { AdminControl } from '../../../src/gateway/control.ts'
import { STATUS, fakeControl } from '../admin/control.ts'
import type { Command } from 'commander'
import { createProgram } from '../../../src/cli/program.ts'
import { noGateway, run, testWorld } from './world.ts'

/** Sample values for arguments, by name. */
const SAMPLES: Readonly<Record<string, string>> = {
  peer: 'agent-b',
  name: 'agent-b:80',
  'ip:port': '127.0.0.1:40002',
  ticket: 'bob',
  file: 'config/gateway.example.yaml',
  id: '0mf1',
}

/** They carry a stream: test/e2e/events.test.ts. */
const STREAMS: ReadonlySet<string> = new Set(['nc', 'pub', 'sub'])
/** Every command of the program, including command groups: `trust`, `trust list`, … */
const COMMANDS = namesOf(createProgram(testWorld()))
/** Commands that only query a running gateway, with arguments the fake gateway can answer. */
const READERS = COMMANDS.filter(
  ({ name, command }) =>
    command.options.some(({ long }) => long === '--admin') &&
    !command.options.some(({ long }) => long === '--trust') &&
    !STREAMS.has(name),
).map(
  ({ name, command }) =>
    `${name}${command.registeredArguments
      .filter((argument) => argument.required || argument.name() in SAMPLES)
      .map((argument) => ` ${SAMPLES[argument.name()] ?? assert.fail(`no sample for <${argument.name()}> of ${name}`)}`)
      .join('')}`,
)

test('every command has help with an example and the common options, and exits 0', async () => {
  assert.ok(COMMANDS.length > 30, `${COMMANDS.length} commands`)
  for (const { name } of COMMANDS) {
    const { code, out, err } = await run(`${name} --help`)
    assert.equal(code, 0, name)
    assert.match(out, new RegExp(`\nExample:\n(.*\n)* {2}\\$ (source <\\()?pilotgate ${name}`), name)
    for (const option of ['--json', '--no-color', '--quiet', '--verbose'])
      assert.ok(out.includes(option), `${name} ${option}`)
    assert.equal(err, '')
  }
  assert.match((await run('--help')).out, /Exit codes: 0 done/)
  assert.deepEqual(await run('--version'), { code: 0, out: '0.1.0\n', err: '' })
})

test('every example in the help is a command line that commander accepts', async () => {
  // A trailing `--help` keeps the command from running; a wrong option or word before it is an error.
  for (const { name } of COMMANDS) {
    const examples = [...(await run(`${name} --help`)).out.matchAll(/^ {2}\$ (?:source <\()?pilotgate ([^<>\n)]*)/gm)]
    assert.ok(examples.length > 0, name)
    for (const [, line] of examples) {
      const words = line!.replace(/"[^"]*"/g, 'text')
      assert.equal((await run(`${words} --help`)).code, 0, line)
      const options = words.match(/ --[a-z-]+/g) ?? []
      const { out } = await run(`${words} --help`)
      for (const option of options) assert.ok(out.includes(option), `${name}: ${option} of its example`)
    }
  }
})

test('every query takes --admin and --json, before and after its name, and prints one envelope', async () => {
  assert.ok(READERS.length > 20, READERS.join(', '))
  for (const reader of READERS) {
    for (const line of [`--json ${reader} --admin /run/a.sock`, `${reader} --admin /run/a.sock --json`]) {
      const world = testWorld({ control: stopping() })
      const { out, err } = await run(line, world)
      assert.equal(out.split('\n').length, 2, `${line}: ${out}`)
      const { v, status, data } = JSON.parse(out) as { v: number; status: string; data: unknown }
      assert.deepEqual([v, status, typeof data, err.replace(/^note: .*\n/, '')], [1, 'ok', 'object', ''], line)
      assert.deepEqual([...new Set(world.sockets)], ['/run/a.sock'])
    }
  }
})

test('the socket comes from PILOTGATE_ADMIN unless a flag is given', async () => {
  const world = testWorld({ env: { PILOTGATE_ADMIN: '/env.sock' } })
  await run('status', world)
  assert.deepEqual(world.sockets, ['/env.sock'])
})

test('with no gateway running every query exits 3', async () => {
  for (const reader of READERS.filter((line) => line !== 'doctor')) {
    // doctor checks on its own: doctor.test.ts
    assert.equal((await run(reader, testWorld({ control: noGateway() }))).code, 3, reader)
    const { code, out } = await run(`${reader} --json`, testWorld({ control: noGateway() }))
    const error = JSON.parse(out) as { v: number; status: string; code: string; message: string; hint: string }
    assert.deepEqual(
      [code, error.v, error.status, error.code, error.message],
      [3, 1, 'error', 'NOT_RUNNING', 'no gateway runs here'],
      reader,
    )
    assert.match(error.hint, /pilotgate up/)
  }
})

test('status prints the record as JSON, and who and where as text', async () => {
  assert.deepEqual((JSON.parse((await run('status --json')).out) as { data: unknown }).data, STATUS)
  const { out } = await run('status')
  assert.equal(
    out,
    [
      'state        ready, for 1 min 1 s (pilotgate 0.1.0, pid 42)',
      'node         agent-a (0:0000.0000.0001)',
      'key          AAAA',
      'udp          127.0.0.1:40001',
      'admin        /run/a.sock',
      'registry     127.0.0.1:9000, registered since 2026-11-23T00:00:00.000Z',
      'beacon       127.0.0.1:9001, sees us at 127.0.0.1:40001',
      'nat          none, filtering port-independent (see `pilotgate doctor`)',
      'peers        1',
      'connections  1',
      'memory       90.0 MB resident, 20.0 MB heap',
      'mapping      127.77.0.2:80 → agent-b, 0:0000.0000.0002:80',
      'exposure     port 80 → tcp://127.0.0.1:3000, for every trusted peer',
      '',
    ].join('\n'),
  )
})

test('status names what doctor would report as failed, with what to do about it', async () => {
  const problems = [{ name: 'udp', state: 'fail', text: 'UDP is blocked', hint: 'Open it.' } as const]
  const control = fakeControl([], { status: () => ({ ...STATUS, problems }) })
  assert.match((await run('status', testWorld({ control }))).out, /\nproblem      UDP is blocked\. Open it\.\n/)
})

test('whois prints text for people, and the record for programs', async () => {
  assert.equal(
    (await run('whois 127.0.0.1:40002')).out,
    [
      'peer     agent-b',
      'node     2, 0:0000.0000.0002',
      'key      BBBB',
      'path     punched',
      'service  80, exposed: the peer connected to it',
      'open     for 3 s',
      '',
    ].join('\n'),
  )
  const { code, out } = await run('whois 127.0.0.1:1 --json')
  assert.deepEqual([code, (JSON.parse(out) as { code: string }).code], [5, 'NOT_FOUND'])
})

test('lists are tables as text, and say when they are empty', async () => {
  assert.equal(
    (await run('list peers')).out,
    [
      'HOSTNAME  ADDRESS           TRUSTED  STATE      PATH     ENDPOINT              RTT  STREAMS      IN    OUT  HEARD',
      'agent-b   0:0000.0000.0002  yes      connected  punched  203.0.113.7:4000  12.3 ms        3  1.5 MB  900 B  250 ms ago',
      '',
      'agent-b: punched: both sides keep out what they did not ask for, and opened up at the same time',
      '',
    ].join('\n'),
  )
  const empty = testWorld({
    control: fakeControl([], {
      peers: () => [],
      mappings: () => [],
      exposures: () => [],
      connections: () => [],
      trusted: () => Promise.resolve([]),
      pending: () => Promise.resolve([]),
    }),
  })
  for (const command of [
    'list peers',
    'list mappings',
    'list exposures',
    'list connections',
    'trust list',
    'trust pending',
  ])
    assert.equal((await run(command, empty)).code, 0)
  assert.equal(
    empty.stdout.join(''),
    'no peers yet\nno mappings\nno exposures\nno connections\nno trusted peers\nno pending trust requests\n',
  )
})

test("a stranger's reason cannot drive the terminal", async () => {
  const [request] = await fakeControl([]).pending()
  const control = fakeControl([], {
    pending: () => Promise.resolve([{ ...request!, justification: 'hi\u001b[2J\n\u202eevil' }]),
  })
  assert.match((await run('trust pending', testWorld({ control }))).out, /hi\uFFFD\[2J \uFFFDevil/)
})

test('trust passes on peer and reason', async () => {
  const calls: unknown[][] = []
  const world = testWorld({ control: fakeControl(calls) })
  await run('trust request agent-b because', world)
  await run('trust request 7', world)
  await run('trust approve agent-b', world)
  assert.deepEqual(calls, [
    ['requestTrust', 'agent-b', 'because'],
    ['requestTrust', '7', ''],
    ['approveTrust', 'agent-b'],
  ])
  assert.equal(
    world.stdout.join(''),
    'requested trust from agent-b: it is asked once the registry knows it, and must approve\nrequested trust from 7: it is asked once the registry knows it, and must approve\napproved agent-b (0:0000.0000.0002)\n',
  )
})

test('trust approve --for limits trust in time, sent to the gateway in ms', async () => {
  const calls: unknown[][] = []
  await run('trust approve agent-b --for 8h', testWorld({ control: fakeControl(calls) }))
  assert.deepEqual(calls, [['approveTrust', 'agent-b', 28_800_000]])
  const until = '2026-11-23T08:00:00.000Z'
  const control = fakeControl([], {
    approveTrust: async () => ({ ...(await fakeControl([]).trusted())[0]!, until }),
    trusted: async () => [{ ...(await fakeControl([]).trusted())[0]!, until }],
  })
  assert.match((await run('trust approve agent-b --for 8h', testWorld({ control }))).out, / until 2026-11-23T08/)
  assert.match((await run('trust list', testWorld({ control }))).out, /UNTIL\n.* 2026-11-23T08:00:00\.000Z\n/)
})

test('a malformed command line exits 2, and with --json prints one envelope on stdout', async () => {
  const cases: Record<string, RegExp> = {
    trust: /a command is missing/,
    nonsense: /unknown command 'nonsense'/,
    statu: /Did you mean status/,
    'status --nonsense': /unknown option '--nonsense'/,
    'status extra': /too many arguments/,
    ping: /missing required argument 'peer'/,
    'ping b --count 0': /--count "0": expected a whole number from 1/,
    'ping b --count': /argument missing/,
    'trust approve': /missing required argument/,
    'up --map': /argument missing/,
    'up --observe 9464': /--observe "9464": expected an IP address/,
    'rendezvous --http nowhere': /--http: "nowhere" is not an address/,
    'rendezvous --compat all': /--compat "all": expected one of owner-recovery/,
    'rendezvous --beacon-id 0': /--beacon-id "0": expected a number/,
    'rendezvous --beacon-peer rv.example:9001': /--beacon-peer .*: expected ip:port/,
    'rendezvous --admin-token-file /nowhere/token': /--admin-token-file: ENOENT/,
    bench: /missing required argument 'peer'/,
    'bench b --bytes 1': /--bytes "1": expected a number of bytes from 1000 to 100000000000/,
    'bench b --for 10m': /--for "10m": expected a duration from 1s to 5m/,
    'up --map agent-b': /map "agent-b": there is no colon/,
    'up --hostname Bad': /--hostname "Bad"/,
    'up --map 0.0.0.0:1:b:2': /--allow-lan/,
  }
  for (const [line, message] of Object.entries(cases)) {
    const human = await run(line)
    assert.deepEqual([human.code, human.out], [2, ''], line)
    assert.match(human.err, message, line)
    assert.match(human.err, /\nhint: /, line)
    const json = await run(`--json ${line}`)
    assert.equal(json.err, '', line)
    const error = JSON.parse(json.out) as { status: string; code: string; message: string }
    assert.deepEqual([json.code, error.status, error.code], [2, 'error', 'USAGE'], line)
    assert.match(error.message, message, line)
  }
})

test('a bare command shows the help, and the help of an unknown command is an error', async () => {
  const bare = await run('')
  assert.deepEqual([bare.code, bare.err], [0, ''])
  assert.match(bare.out, /^Usage: pilotgate .*\n[^]*Commands:/)
  const unknown = await run('help nonsense')
  assert.deepEqual([unknown.code, unknown.out], [2, ''])
  assert.match(unknown.err, /^error: no such command: nonsense\nhint: `pilotgate --help`/)
  assert.match((await run('help ping')).out, /^Usage: pilotgate ping/)
})

test('the hint of a usage error names the command, and the words of other programs lead to ours', async () => {
  const hints: Record<string, string> = {
    'trust approve': '`pilotgate trust approve --help` shows its usage.',
    'ping b --count 0': '`pilotgate ping --help` shows its usage.',
    '--nonsense': '`pilotgate --help` shows its usage.',
    serve: 'Use `pilotgate share PORT`.',
    'http 3000': 'Use `pilotgate share 3000`.',
    'tunnel --url http://localhost:3000': 'Use `pilotgate share 3000`.',
    'port-forward pod/agent-b 8080:80': 'Use `pilotgate map 8080:agent-b:80`.',
    'port-forward agent-b 80': 'Use `pilotgate map 80:agent-b:80`.',
    'forward 8080:agent-b:80': 'Use `pilotgate map 8080:agent-b:80`.',
    '3000': 'Use `pilotgate share 3000`.',
    './site': 'Use `pilotgate share ./site`.',
    'http://localhost:5173/': 'Use `pilotgate share 5173`.',
    'pgt1_abc 8080': 'Use `pilotgate join TICKET 8080`.',
    'agent-b:80': 'Use `pilotgate map agent-b:80`.',
    'agent-b -L 8080:localhost:80': 'Use `pilotgate map 8080:agent-b:80`.',
    'connect agent-b:80': 'Use `pilotgate map agent-b:80`.',
    '-L 8080:localhost:80 agent-b': 'Use `pilotgate map 8080:agent-b:80`.',
    '-L 8080:agent-b:80': 'Use `pilotgate map 8080:agent-b:80`.',
    'connect pgt1_x': 'Use `pilotgate join TICKET`.',
    version: 'Use `pilotgate --version`.',
    'approve bob': 'Use `pilotgate trust approve bob`.',
    logs: 'A gateway logs to stderr (-v: more). Under systemd: `journalctl -u pilotgate`.',
  }
  for (const [line, hint] of Object.entries(hints)) {
    const { code, err } = await run(line)
    assert.equal(code, 2, line)
    assert.equal(/^hint: (.*)$/m.exec(err)?.[1], hint, line)
  }
})

test('status shows in the first lines that the file is not in force, and why the registry is not reached', async () => {
  const config = { version: 3, file: 'g.yaml', error: 'g.yaml:2:1: nodes: no such key\ng.yaml:3:1: x: no such key' }
  const registry = { ...STATUS.registry!, state: 'unreachable', code: 'REGISTRY_UNTRUSTED', reason: 'expired' } as const
  const control = fakeControl([], { status: () => ({ ...STATUS, config, registry }) })
  const { out } = await run('status --no-color', testWorld({ control }))
  assert.deepEqual(out.split('\n').slice(1, 5), [
    'problem      g.yaml is not in force, version 3 is; correct it, and it is applied:',
    '             g.yaml:2:1: nodes: no such key',
    '             g.yaml:3:1: x: no such key',
    'config       version 3, older than g.yaml',
  ])
  assert.match(out, /^registry {5}.*, unreachable since .*: expired$/m)
  const fine = fakeControl([], { status: () => ({ ...STATUS, config: { ...config, error: null } }) })
  assert.match((await run('status', testWorld({ control: fine }))).out, /^config {7}g\.yaml, version 3$/m)
})

test('a gateway error keeps its exit code', async () => {
  const cases = { NOT_TRUSTED: 4, DENIED: 4, NOT_FOUND: 5, CONFLICT: 6, TIMED_OUT: 124, FAILED: 1 } as const
  for (const [code, exit] of Object.entries(cases)) {
    const control = fakeControl([], {
      approveTrust: () => Promise.reject(new PilotError(code as keyof typeof cases, 'because')),
    })
    assert.equal((await run('trust approve agent-b', testWorld({ control }))).code, exit, code)
  }
  const buggy = fakeControl([], {
    status: () => {
      throw new TypeError('a bug')
    },
  })
  assert.deepEqual(await run('status', testWorld({ control: buggy })), {
    code: 1,
    out: '',
    err: `error: a bug\nhint: ${new PilotError('FAILED', '').hint}\n`,
  })
})

test('config check accepts the example and reports mistakes with their position', async () => {
  const { code, out } = await run('config check config/gateway.example.yaml')
  assert.deepEqual([code, out], [0, 'config/gateway.example.yaml is valid: 13 mappings, 3 exposures\n'])
  const bad = await run('config check config/demo.proto')
  assert.equal(bad.code, 2)
  assert.match(bad.err, /^config\/demo\.proto:\d+:\d+: |^error: config\/demo\.proto:\d+:\d+: /)
})

test('at a terminal a change shows how to undo it; into a pipe, and with --json, it does not', async () => {
  for (const [line, undo] of [
    ['map 8080:agent-b:80', /undo: pilotgate unmap agent-b:80\n/],
    ['expose 80=3000 --save', /undo: pilotgate unexpose 80 --save\n/],
    ['share 3000', /undo: pilotgate unexpose 80\n/],
    ['trust approve agent-b', /undo: pilotgate trust revoke /],
    ['trust revoke agent-b', /undo: pilotgate trust request /],
  ] as const) {
    assert.match((await run(line, testWorld({ terminal: true }))).out, undo, line)
    assert.doesNotMatch((await run(line)).out, /undo:/, line)
    assert.doesNotMatch((await run(`${line} --json`, testWorld({ terminal: true }))).out, /undo:/, line)
  }
})

test('status and mappings show the ports for every peer, and the peers behind one mapping', async () => {
  const control = fakeControl([], {
    status: () => ({
      ...STATUS,
      http: '127.0.0.1:8088',
      proxy: '127.0.0.1:1080',
      dns: '127.0.0.1:5353',
      observe: '127.0.0.1:9464',
    }),
    mappings: () => [
      {
        ...STATUS.mappings[0]!,
        name: 'web',
        peers: [
          { peer: 'agent-b', nodeId: 2, state: 'up', connections: 3, failures: 0, retryMs: null },
          { peer: 'agent-c', nodeId: null, state: 'ejected', connections: 0, failures: 2, retryMs: 2_000 },
        ],
      },
    ],
  })
  const { out } = await run('status', testWorld({ control }))
  for (const line of [
    /^http +127\.0\.0\.1:8088, as http:\/\/PEER\.pilot\.localhost:8088\/$/m,
    /^proxy +127\.0\.0\.1:1080/m,
    /^dns +127\.0\.0\.1:5353$/m,
    /^observe +http:\/\/127\.0\.0\.1:9464\/$/m,
  ])
    assert.match(out, line)
  assert.match(
    (await run('list mappings', testWorld({ control }))).out,
    /^web: agent-b up, 3 open, agent-c ejected, retrying in 2 s$/m,
  )
})

function namesOf(command: Command, parent = ''): { readonly name: string; readonly command: Command }[] {
  return command.commands.flatMap((child) => {
    const name = `${parent}${child.name()}`
    return [{ name, command: child }, ...namesOf(child, `${name} `)]
  })
}

/** A gateway that drains and stops on request. */
function stopping(): AdminControl {
  let down = false
  return fakeControl([], {
    down: () => {
      down = true
      return Promise.resolve({ state: 'draining', connections: 0 })
    },
    status: () => {
      if (down) throw new PilotError('NOT_RUNNING', 'it has ended')
      return { ...STATUS, connections: 0, exposures: [] }
    },
    connections: () => [],
  })
}
