/** `invite`, `share` and `join` with a running gateway; tests that need processes are in test/e2e/tickets.test.ts. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PilotError } from '../../../src/base/errors.ts'
import { runCli } from '../../../src/cli/program.ts'
import { parseExposeSpec } from '../../../src/gateway/model/expose-spec.ts'
import { checkLoopback } from '../../../src/gateway/model/listen.ts'
import { embeddedAddress } from '../../../src/cli/embedded.ts'
import { fakeControl, STATUS } from '../admin/control.ts'
import { noGateway, run, testWorld } from './world.ts'

const TICKET = `pgt1_${'A'.repeat(120)}`

test('invite requests ten minutes, or the given time, and prints only the ticket into a pipe', async () => {
  const calls: unknown[][] = []
  const world = testWorld({ control: fakeControl(calls) })
  await run('invite', world)
  await run('invite --service api --for 2h', world)
  assert.deepEqual(calls, [
    ['invite', undefined, 600_000, undefined],
    ['invite', 'api', 7_200_000, undefined],
  ])
  assert.equal(world.stdout.join(''), 'pgt1_AAAA\npgt1_AAAA\n')
  assert.match(world.stderr.join(''), /works on this machine only/)
})

test('a terminal shows the command for the other side, and with --qr a QR code; --json prints the record', async () => {
  const drawing = /^[█▀▄ ]+$/m
  assert.doesNotMatch((await run('invite', testWorld({ terminal: true }))).out, drawing, 'a phone cannot use it')
  const { out } = await run('invite --qr', testWorld({ terminal: true }))
  assert.match(out, /A ticket for bob to port 80, valid once; it expires in /)
  assert.match(out, /pilotgate join pgt1_AAAA/)
  assert.ok(out.split('\n').filter((line) => /^[█▀▄ ]+$/.test(line)).length > 10, out)
  assert.equal((JSON.parse((await run('invite --json')).out) as { data: { ticket: string } }).data.ticket, 'pgt1_AAAA')
})

test('malformed times are refused', async () => {
  for (const bad of ['9s', '8d', '10', 'm', '-1m', '1.5h', '']) {
    const { code, err } = await run(`invite --for=${bad}`)
    assert.equal(code, 2, bad)
    assert.match(err, /expected a duration from 10s to 7d|argument missing/, bad)
  }
})

test('a bare port is exposed for ticket holders, and a ticket for it is printed', async () => {
  const calls: unknown[][] = []
  const { out } = await run('share 3000', testWorld({ control: fakeControl(calls) }))
  assert.deepEqual(
    calls.map((call) => call.slice(0, 2)),
    [
      ['expose', '3000=tcp://localhost:3000,allow=invited'],
      ['invite', '80'],
    ],
  )
  assert.equal(out, 'pgt1_AAAA\n')
})

test('a ticket is used first, then its port is mapped where requested', async () => {
  const calls: unknown[][] = []
  const world = testWorld({ control: fakeControl(calls) })
  await run(`join ${TICKET}`, world)
  await run(`join ${TICKET} 127.0.0.1:8080 --name web --save`, world)
  const edit = { name: undefined, save: undefined, ifVersion: undefined }
  assert.deepEqual(calls, [
    ['redeem', TICKET],
    ['map', '0:0000.0000.0002:80', edit],
    ['redeem', TICKET],
    ['map', '127.0.0.1:8080:0:0000.0000.0002:80', { ...edit, name: 'web', save: true }],
  ])
})

test('join and map say which URL to open, unless the port is that of a database', async () => {
  const of = async (line: string, remote: string, local: string): Promise<string> => {
    const record = { name: 'x', local, peer: 'agent-b', remote, protocol: 'tcp' as const }
    return (await run(line, testWorld({ control: fakeControl([], { map: () => Promise.resolve(record) }) }))).out
  }
  assert.match(await of('map 8080:agent-b:80', 'agent-b:80', '127.0.0.1:8080'), /open http:\/\/localhost:8080\/\n/)
  assert.match(await of(`join ${TICKET} 8080`, 'agent-b:3000', '127.0.0.1:8080'), /open http:\/\/localhost:8080\/\n/)
  assert.match(await of('map agent-b:80', 'agent-b:80', '127.77.0.2:80'), /open http:\/\/127\.77\.0\.2\/\n/)
  assert.doesNotMatch(await of('map agent-b:5432', 'agent-b:5432', '127.77.0.2:5432'), /open/)
})

test('join does not spend the ticket if the local port is taken, and names another', async () => {
  const calls: unknown[][] = []
  for (const [local, taken] of [
    ['8080', '127.0.0.1:8080'],
    ['127.0.0.3:8080', '127.0.0.3:8080'],
    ['[::1]:8080', '::1:8080'],
  ] as const) {
    const { code, err } = await run(
      `join ${TICKET} ${local}`,
      testWorld({ control: fakeControl(calls), taken: [taken] }),
    )
    assert.deepEqual([code, calls], [6, []], local)
    assert.match(err, /something already listens on .*:8080\nhint: .*`pilotgate join TICKET 8081`; 0 picks a free one/)
  }
})

test('--allow-lan at a gateway that was started without it says so, instead of asking for it again', async () => {
  const refuse = (): Promise<never> => {
    checkLoopback('0.0.0.0', false, 'map')
    return Promise.reject(new Error('it was allowed'))
  }
  const world = testWorld({ control: fakeControl([], { map: refuse }) })
  const { code, err } = await run('map 0.0.0.0:8081:agent-b:80 --allow-lan', world)
  assert.equal(code, 2)
  assert.match(err, /the running gateway was started without --allow-lan\nhint: Stop it/)
})

test('map names another port as well if its own is taken', async () => {
  const world = testWorld({ control: noGateway(), taken: ['127.0.0.1:8080'] })
  const { code, err } = await run('map 8080:agent-b:80,path=direct', world)
  assert.equal(code, 6)
  assert.match(err, /hint: .*`pilotgate map 8081:agent-b:80,path=direct`/)
})

test('--rewrite-host of share and join becomes an option of the exposure or the mapping', async () => {
  const calls: unknown[][] = []
  await run('share 3000 --rewrite-host', testWorld({ control: fakeControl(calls) }))
  await run(`join ${TICKET} 8080 --rewrite-host`, testWorld({ control: fakeControl(calls) }))
  assert.equal(calls[0]![1], '3000=tcp://localhost:3000,allow=invited,host=rewrite')
  assert.equal(calls[3]![1], '8080:0:0000.0000.0002:80,host=rewrite')
})

test('a refused ticket maps nothing, and an unreadable one starts no gateway', async () => {
  const calls: unknown[][] = []
  const control = fakeControl(calls, {
    redeem: () => Promise.reject(new PilotError('TICKET_USED', 'somebody has used it')),
  })
  assert.equal((await run(`join ${TICKET}`, testWorld({ control }))).code, 4)
  assert.deepEqual(calls, [])
  const { code, err } = await run(`join ${TICKET}`, testWorld({ control: noGateway() }))
  assert.equal(code, 2)
  assert.match(err, /not a ticket, or only part/)
})

test('join - reads the ticket from stdin, and a bare local port means localhost', async () => {
  const calls: unknown[][] = []
  await run('join - 8080', testWorld({ control: fakeControl(calls), input: TICKET }))
  assert.deepEqual(
    calls.map((call) => call.slice(0, 2)),
    [
      ['redeem', TICKET],
      ['map', '8080:0:0000.0000.0002:80'],
    ],
  )
})

test('share takes every kind of target, --for and --once; the ticket does not outlive the exposure', async () => {
  const cases: Record<string, [string, number]> = {
    'share 127.0.0.1:3000': ['3000=tcp://127.0.0.1:3000,allow=invited', 600_000],
    'share http://127.0.0.1:3000 --port 80': ['80=http://127.0.0.1:3000,allow=invited', 600_000],
    'share 53/udp': ['53/udp=udp://localhost:53,allow=invited', 600_000],
    'share unix:/run/pg.sock --port 5432': ['5432=unix:/run/pg.sock,allow=invited', 600_000],
    'share 3000 --for 1h --once': ['3000=tcp://localhost:3000,allow=invited,for=1h,once', 600_000],
    'share 3000 --for 2m': ['3000=tcp://localhost:3000,allow=invited,for=2m', 120_000],
  }
  for (const [line, [spec, ticketMs]] of Object.entries(cases)) {
    const calls: unknown[][] = []
    assert.equal((await run(line, testWorld({ control: fakeControl(calls) }))).code, 0, line)
    assert.deepEqual(
      [calls[0]?.slice(0, 2), calls[1]],
      [
        ['expose', spec],
        ['invite', '80', ticketMs, undefined],
      ],
      line,
    )
  }
  assert.match((await run('share unix:/run/pg.sock')).err, /no port of its own\nhint: .*--port/)
})

test('sharing the same target again prints another ticket; a different one is a conflict', async () => {
  const shared = { ...STATUS.exposures[0]!, name: '3000', target: 'tcp://localhost:3000', allow: ['invited'] }
  const control = fakeControl([], {
    expose: () => Promise.reject(new PilotError('CONFLICT', 'the name "3000" is taken')),
    exposures: () => [shared],
  })
  assert.equal((await run('share 3000', testWorld({ control }))).out, 'pgt1_AAAA\n')
  for (const line of ['share 3001 --port 3000', 'share 3000 --for 1h', 'share 3000 --once'])
    assert.equal((await run(line, testWorld({ control }))).code, 6, line)
})

test('share takes folders, sockets and commands; each gets a port that is free', async () => {
  const paths = {
    '/home/ann/site': 'folder',
    '/srv/www': 'folder',
    '/run/pg.sock': 'socket',
    '/home/ann/a.pdf': 'file',
  } as const
  const [taken] = STATUS.exposures // on port 80
  const cases: readonly (readonly [string[], string])[] = [
    [['share', './site'], '8000=folder:/home/ann/site,allow=invited'],
    [['share', '/srv/www', '--port', '81'], '81=folder:/srv/www,allow=invited'],
    [['share', '/run/pg.sock', '--port', '5432'], '5432=unix:/run/pg.sock,allow=invited'],
    [['share', '--once', '--', 'cat'], '1000=exec:cd /home/ann && exec cat,allow=invited,once'],
    [
      ['share', '--', 'sh', '-c', 'echo "a, b" %1', "it's"],
      `1000=exec:cd /home/ann && exec sh -c 'echo "a%2C b" %251' 'it'\\''s',allow=invited`,
    ],
  ]
  for (const [argv, spec] of cases) {
    const calls: unknown[][] = []
    const control = fakeControl(calls, { exposures: () => [{ ...taken!, port: 80 }] })
    assert.equal(await runCli(argv, testWorld({ control, paths })), 0, argv.join(' '))
    assert.equal(calls[0]?.[1], spec)
    const { target } = parseExposeSpec(spec)
    if (target.kind === 'exec' && argv.includes('-c')) assert.match(target.command, /echo "a, b" %1/)
  }
  for (const [line, hint] of [
    ['share ./a.pdf', /this is a file.*\nhint: Share its folder: `pilotgate share \.`/],
    ['share ./nothing', /there is no such folder/],
    ['share site', /this is not a port\nhint: To share the folder: `pilotgate share \.\/site`/],
    ['share', /expected one target, or a command after "--"/],
    ['share 3000 4000', /expected one target/],
    ['share --', /expected one target/],
    ['share 3000 -- cat', /expected one target/],
  ] as const) {
    const { code, err } = await run(line, testWorld({ paths }))
    assert.equal(code, 2, line)
    assert.match(err, hint, line)
  }
})

test('a port on which nothing listens is shared with a note; one that listens, on either family, without', async () => {
  for (const [taken, noted] of [
    [[], true],
    [['127.0.0.1:3000'], false],
    [['::1:3000'], false],
  ] as const)
    for (const line of ['share 3000', 'expose 80=3000']) {
      const { err } = await run(line, testWorld({ taken }))
      assert.equal(/note: nothing listens on port 3000 yet/.test(err), noted, `${line} ${taken.join()}`)
    }
  assert.doesNotMatch((await run('share 192.0.2.1:3000')).err, /nothing listens/)
})

test('labels go with the ticket; a label that could be mistaken for something else is refused', async () => {
  const calls: unknown[][] = []
  await runCli(['share', '3000', '--label', 'Bob from QA'], testWorld({ control: fakeControl(calls) }))
  await run('invite --label ann', testWorld({ control: fakeControl(calls) }))
  await run('invite cancel ann', testWorld({ control: fakeControl(calls) }))
  assert.deepEqual(
    calls.slice(1).map(([name, ...args]) => [name, args.at(-1)]),
    [
      ['invite', 'Bob from QA'],
      ['invite', 'ann'],
      ['cancelTicket', 'ann'],
    ],
  )
  for (const label of ['', ' bob', 'bob\n', '\u202ebob', 'x'.repeat(41)])
    assert.equal(await runCli(['invite', '--label', label], testWorld()), 2, JSON.stringify(label))
  const { out } = await run('invite list', testWorld({ terminal: true }))
  assert.match(out, /ID +LABEL +SERVICE +PORT +EXPIRES\n5e1f00aa +bob +80 +80 +in /)
})

test('a QR code is drawn of a URL that a phone can reach, and only if the window is wide enough', async () => {
  const drawing = /^[█▀▄ ]{10,}$/m
  const of = async (line: string, local: string, columns = 80): Promise<{ out: string; err: string }> => {
    const record = { name: 'x', local, peer: 'agent-b', remote: 'agent-b:80', protocol: 'tcp' as const }
    const control = fakeControl([], { map: () => Promise.resolve(record) })
    return await run(line, testWorld({ control, columns, terminal: true }))
  }
  assert.match((await of('map 192.0.2.5:8080:agent-b:80 --qr', '192.0.2.5:8080')).out, drawing)
  assert.doesNotMatch((await of('map 192.0.2.5:8080:agent-b:80', '192.0.2.5:8080')).out, drawing)
  const here = await of('map 8080:agent-b:80 --qr', '127.0.0.1:8080')
  assert.doesNotMatch(here.out, drawing)
  assert.match(here.err, /no QR code: other machines cannot reach/)
  const narrow = await of('map 192.0.2.5:8080:agent-b:80 --qr', '192.0.2.5:8080', 20)
  assert.doesNotMatch(narrow.out, drawing)
  assert.match(narrow.err.replaceAll('\n', ' '), /needs 29 columns, and this window has 20/)
})

test('list exposures and status show when an exposure ends, its limits, its tickets and that it drains', async () => {
  const exposure = {
    ...STATUS.exposures[0]!,
    endsAt: new Date(Date.now() + 7_200_000).toISOString(),
    once: true,
    limits: { connections: 5, bytesPerSecond: 1_000_000 },
    tickets: 2,
    draining: true,
  } as const
  const control = fakeControl([], { exposures: () => [exposure], status: () => ({ ...STATUS, exposures: [exposure] }) })
  const terms = 'ends in 2 h, once, at most 5 open, 1.0 MB/s, 2 open tickets'
  assert.ok((await run('list exposures', testWorld({ control }))).out.includes(`draining  ${terms}`))
  assert.ok((await run('status', testWorld({ control }))).out.includes(`, draining, ${terms}`))
})

test('list connections --recent shows who came, how much, for how long, and how it ended', async () => {
  const { out } = await run('list connections --recent')
  assert.match(out, /agent-b:80 +agent-b +10 B +20 B +900 ms +ended\n/)
  assert.match(out, / 80 +bob \(agent-b\) +10 B +20 B +30 ms +TARGET_UNREACHABLE\n/)
})

test('spellings from earlier versions exit 2 and name the command that replaced them', async () => {
  const cases: Record<string, RegExp> = {
    'expose 3000': /hint: .*`pilotgate share 3000`/,
    'expose 3000 --for 1h --once':
      /`pilotgate share 3000 --for 1h --once`.*`pilotgate expose 3000=3000 --for 1h --once`/,
    [`map ${TICKET}`]: /hint: .*`pilotgate join TICKET/,
    'map agent-b:80 8080': /too many arguments/,
    'expose 3000=3000 --lan': /hint: Use `pilotgate share TARGET --lan`/,
    'explain agent-b': /hint: Use `pilotgate doctor TARGET`/,
    mappings: /hint: Use `pilotgate list mappings`/,
    exposes: /hint: Use `pilotgate list exposures`/,
    'list exposes': /hint: Use `pilotgate list exposures`/,
    'peers --paths': /hint: Use `pilotgate list peers`/,
    connections: /hint: Use `pilotgate list connections`/,
    'drain --undo': /hint: Use `pilotgate resume`/,
    'netcat agent-b': /unknown command 'netcat'.*\nhint: `pilotgate --help` lists the commands/,
  }
  for (const [line, hint] of Object.entries(cases)) {
    const { code, out, err } = await run(line, testWorld({ control: noGateway() }))
    assert.deepEqual([code, out], [2, ''], line)
    assert.match(err, hint, line)
  }
})

test('where the embedded rendezvous listens', () => {
  assert.equal(embeddedAddress({}), '127.0.0.1')
  assert.equal(embeddedAddress({ lanAddress: '192.0.2.7' }), '192.0.2.7')
  for (const lanAddress of ['0.0.0.0', '::1', 'localhost', '3000'])
    assert.throws(() => embeddedAddress({ lanAddress }), PilotError, lanAddress)
})
