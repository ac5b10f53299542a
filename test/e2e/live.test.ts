/** The file of a running gateway: what a change affects, what it leaves alone, and what an invalid one does. */
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { createSocket } from 'node:dgram'
import { get } from 'node:http'
import type { Socket } from 'node:net'
import { address, eventually, Gateway, pause, Rendezvous, Stage } from './harness.ts'
import type { Address } from './harness.ts'
import { echo, open, some, talk } from './servers.ts'
import type { Service } from './servers.ts'

let stage: Stage
let service: Service
let rendezvous: Rendezvous
let b: Gateway
before(async () => {
  stage = await Stage.open()
  service = await echo(stage)
  rendezvous = await Rendezvous.start(stage)
  const { registry, beacon } = rendezvous
  b = await Gateway.start(stage, {
    name: 'agent-b',
    registry,
    beacon,
    trust: ['a', 'c', 'd', 'e', 'f', 'g', 'i', 'j', 'k', 'l'].map((letter) => `agent-${letter}`),
    expose: [80, 81, 82].map((port) => `${port}=${service.address}`),
  })
})
after(async () => stage.close())

test('twenty changes of the file under load drop no other connection and fail no request', async (t) => {
  const { a, write } = await follower('agent-a', ['{ name: kept, peer: agent-b, port: 80, local: "127.0.0.1:0" }'])
  const kept = a.local('kept')
  const streams = await Promise.all(Array.from({ length: 200 }, () => greeted(kept)))
  const load = requests(kept)
  for (let round = 1; round <= 20; round++) {
    const more = Array.from(
      { length: round % 4 },
      (_, index) =>
        `{ name: extra-${index}, peer: agent-b, port: ${81 + ((round + index) % 2)}, local: "127.0.0.1:0" }`,
    )
    await write(['{ name: kept, peer: agent-b, port: 80, local: "127.0.0.1:0" }', ...more])
    await eventually(`round ${round} is in force`, async () => {
      const mappings = await a.mappings()
      return mappings.length === 1 + more.length &&
        more.every((_, index) =>
          mappings.some(
            ({ name, remote }) => name === `extra-${index}` && remote.endsWith(`:${81 + ((round + index) % 2)}`),
          ),
        )
        ? true
        : undefined
    })
  }
  const { done, failed } = await load.stop()
  for (const stream of streams) stream.write('still')
  for (const text of await Promise.all(streams.map(async (stream) => (await some(stream)).toString())))
    assert.equal(text, 'still')
  t.diagnostic(`${streams.length} streams, ${done} requests during 20 changes`)
  assert.deepEqual([failed, done > 100], [[], true])
  assert.deepEqual((await a.mappings()).find(({ name }) => name === 'kept')?.local, `${kept.host}:${kept.port}`)
  assert.ok(a.program.events.filter(({ event }) => event === 'reloaded').length >= 20)
  for (const event of ['mapped', 'unmapped'])
    assert.ok(
      a.program.events.some((line) => line['event'] === event && line['name'] === 'extra-0'),
      event,
    )
})

test('open connections of a removed mapping stay until they end; new ones are refused', async () => {
  const { a, write } = await follower('agent-c', ['{ name: one, peer: agent-b, port: 80, local: "127.0.0.1:0" }'])
  const place = a.local('one')
  const socket = await greeted(place)
  await write([])
  await a.program.event('unmapped', ({ name }) => name === 'one')
  await assert.rejects(open(stage, place))
  socket.write('still')
  assert.equal((await some(socket)).toString(), 'still')
  assert.equal((await a.connections()).length, 1)
})

test('a file that is invalid, needs a restart or has a port in use changes nothing and reports why; a valid one recovers', async () => {
  const { a, write, file, text } = await follower('agent-d', [
    '{ name: one, peer: agent-b, port: 80, local: "127.0.0.1:0" }',
  ])
  const other = await echo(stage)
  const bad: [string, RegExp][] = [
    [text(['{ name: one, peer: agent-b, porrt: 80 }']), /no such key; did you mean "port"/],
    [
      text(['{ name: two, peer: agent-b, port: 80 }']).replace('public: false', 'public: true'),
      /node\.public: cannot change while the gateway runs/,
    ],
    [text([`{ name: two, peer: agent-b, port: 80, local: "${other.address}" }`]), /is in use/],
  ]
  for (const [content, why] of bad) {
    await writeFile(`${file}.new`, content) // a file that is being written would be refused too, and reported
    await rename(`${file}.new`, file)
    await eventually(`refused: ${String(why)}`, async () =>
      why.test((await config(a)).error ?? '') ? true : undefined,
    )
    assert.deepEqual(
      (await a.mappings()).map(({ name }) => name),
      ['one'],
    )
    const reload = await a.cli('reload')
    assert.deepEqual([reload.code, why.test(reload.stderr)], [/in use/.test(String(why)) ? 6 : 2, true], reload.stderr)
  }
  assert.equal(a.program.logs.filter(({ msg }) => msg.includes('was not applied')).length, 3, 'each one once')
  assert.equal((await talk(stage, a.local('one'), Buffer.from('works'))).toString(), 'works')
  await write([
    '{ name: one, peer: agent-b, port: 80, local: "127.0.0.1:0" }',
    '{ name: two, peer: agent-b, port: 81, local: "127.0.0.1:0" }',
  ])
  await a.program.event('mapped', ({ name }) => name === 'two')
  assert.deepEqual(await config(a), { version: 2, file, error: null })
  await rm(file)
  await eventually('the missing file is noticed', async () =>
    /cannot be read \(ENOENT\)/.test((await config(a)).error ?? '') ? true : undefined,
  )
  assert.equal((await a.mappings()).length, 2)
})

test('SIGHUP and `reload` read the file at once; without a file SIGHUP ends the gateway', async () => {
  const { a, file, text } = await follower('agent-e', [])
  await writeFile(file, text(['{ name: one, peer: agent-b, port: 80, local: "127.0.0.1:0" }']))
  a.program.signal('SIGHUP')
  await a.program.event('mapped', ({ name }) => name === 'one')
  await a.program.log('it says so', ({ msg }) => msg.includes('SIGHUP'))
  await writeFile(file, text([]))
  const { code, stdout } = await a.cli('reload')
  assert.equal(code, 0)
  assert.match(stdout, /- mapping one|no change/)
  assert.deepEqual(await a.mappings(), [])
  assert.equal(a.program.exit, undefined)
  const { registry, beacon } = rendezvous
  const bare = await Gateway.start(stage, { name: 'agent-bare', registry, beacon })
  const refused = await bare.cli('reload')
  assert.deepEqual([refused.code, /started without a configuration file/.test(refused.stderr)], [2, true])
  bare.program.signal('SIGHUP')
  assert.deepEqual(await bare.program.ended(), { code: 0, signal: null })
})

test('a symbolic link swapped by Kubernetes and a new file renamed over the old one by an editor are both noticed', async () => {
  const mount = stage.path('mount')
  const put = async (name: string, content: string): Promise<void> => {
    await mkdir(`${mount}/${name}`, { recursive: true })
    await writeFile(`${mount}/${name}/gateway.yaml`, content)
    await symlink(name, `${mount}/..data_tmp`)
    await rename(`${mount}/..data_tmp`, `${mount}/..data`)
  }
  await put('..1', fileText('agent-f', []))
  await symlink('..data/gateway.yaml', `${mount}/gateway.yaml`)
  const { a } = await follower('agent-f', [], `${mount}/gateway.yaml`)
  await put('..2', fileText('agent-f', ['{ name: one, peer: agent-b, port: 80, local: "127.0.0.1:0" }']))
  await a.program.event('mapped', ({ name }) => name === 'one', 5_000)
  await rm(`${mount}/..1`, { recursive: true })
  await put('..3', fileText('agent-f', []))
  await a.program.event('unmapped', ({ name }) => name === 'one', 5_000)
  await writeFile(
    `${mount}/.new`,
    fileText('agent-f', ['{ name: two, peer: agent-b, port: 80, local: "127.0.0.1:0" }']),
  )
  await rename(`${mount}/.new`, `${mount}/gateway.yaml`)
  await a.program.event('mapped', ({ name }) => name === 'two', 5_000)
})

test('additional trust in the file is requested immediately', async () => {
  const { a, file, text } = await follower('agent-g', [], undefined, [])
  await writeFile(file, text([]).replace('trust: []', 'trust: [agent-b]'))
  await a.trusts('agent-b')
})

test('`config diff` shows what a file would change, including keys that need a restart, and changes nothing', async () => {
  const { a, file, text } = await follower('agent-h', [
    '{ name: one, peer: agent-b, port: 80, local: "127.0.0.1:0" }',
    '{ name: gone, peer: agent-b, port: 81, local: "127.0.0.1:0" }',
  ])
  const other = `${dirname(file)}/other.yaml`
  await writeFile(
    other,
    text([
      '{ name: one, peer: agent-b, port: 81, local: "127.0.0.1:0" }',
      '{ name: new, peer: agent-b, port: 80, local: "127.0.0.1:0" }',
    ]).replace('public: false', 'public: true'),
  )
  const { code, stdout } = await a.cli('config', 'diff', other)
  assert.deepEqual(
    [code, stdout.trimEnd().split('\n')],
    [
      0,
      [
        '+ mapping new',
        '- mapping gone',
        '~ mapping one',
        '! node.public differs: needs a restart, and keeps the whole file from being applied',
      ],
    ],
  )
  assert.deepEqual((await a.json<{ restart: string[] }>('config', 'diff', other)).restart, ['node.public'])
  assert.equal((await a.cli('config', 'diff', file)).stdout, 'no change\n')
  await writeFile(other, 'version: 2\n')
  assert.equal((await a.cli('config', 'diff', other)).code, 2)
  assert.deepEqual(
    (await a.mappings()).map(({ name }) => name),
    ['one', 'gone'],
  )
})

test('a mapping and an exposure that change in place refuse no connection in the meantime', async (t) => {
  const { a, file } = await follower('agent-i', [])
  const other = await echo(stage)
  const write = async (round: number): Promise<void> => {
    await writeFile(
      file,
      `${fileText('agent-i', [`{ name: one, peer: agent-b, port: 80, local: "127.0.0.1:${place}", path: ${round % 2 === 0 ? 'any' : 'prefer-direct'}, clients: ["127.0.0.0/${8 + round}"] }`])}expose: [{ port: 90, target: "${round % 2 === 0 ? other.address : service.address}", limits: { connections: ${1_000 + round} } }]\n`,
    )
    await eventually(`round ${round} is in force`, async () =>
      (await config(a)).version === 2 + round ? true : undefined,
    )
  }
  let place = 0
  await write(0)
  place = address((await a.mappings())[0]!.local).port
  const back = (await b.json<{ local: string }>('map', '0:agent-i:90')).local
  await eventually(
    'both ways work',
    async () =>
      await talk(stage, address(back), Buffer.from('x')).then(
        () => true,
        () => undefined,
      ),
  )
  const streams = [await greeted(address(back)), await greeted({ host: '127.0.0.1', port: place })]
  const loads = [requests(address(back)), requests({ host: '127.0.0.1', port: place })]
  for (let round = 1; round <= 16; round++) {
    await write(round)
    await pause(50)
  }
  for (const load of loads) {
    const { done, failed } = await load.stop()
    t.diagnostic(`${done} connections during 16 changes`)
    assert.deepEqual([failed, done > 50], [[], true])
  }
  for (const stream of streams) stream.write('still')
  for (const text of await Promise.all(streams.map(async (stream) => (await some(stream)).toString())))
    assert.equal(text, 'still')
})

test("so do those for datagrams: the local port stays, and a client's next datagram uses the new settings", async () => {
  const { a, file } = await follower('agent-l', [])
  const udp = createSocket('udp4').on('message', (bytes, from) => udp.send(bytes, from.port, from.address))
  await new Promise<void>((resolve) => {
    udp.bind(0, '127.0.0.1', resolve)
  })
  stage.defer(async () => {
    udp.close()
  })
  await b.trusts('agent-l')
  const write = async (round: number): Promise<string> => {
    await writeFile(
      file,
      `${fileText('agent-l', [`{ name: two, peer: agent-b, port: "92/udp", local: "127.0.0.1:0", clients: ["127.0.0.0/${8 + round}"] }`])}expose: [{ port: "91/udp", target: "127.0.0.1:${udp.address().port}", limits: { connections: ${100 + round} } }]\n`,
    )
    await eventually(`round ${round} is in force`, async () =>
      (await config(a)).version === 2 + round ? true : undefined,
    )
    return (await a.mappings())[0]!.local
  }
  const local = await write(0)
  const back = address((await b.json<{ local: string }>('map', '0:agent-l:91/udp')).local)
  const client = createSocket('udp4')
  stage.defer(async () => {
    client.close()
  })
  const answers: string[] = []
  client.on('message', (bytes) => answers.push(bytes.toString()))
  for (let round = 1; round <= 4; round++) {
    const sent = `round ${round}`
    await eventually(`${sent} comes back`, async () => {
      client.send(sent, back.port, back.host)
      await pause(20)
      return answers.includes(sent) || undefined
    })
    assert.equal(await write(round), local)
  }
})

test('http, proxy, dns and observe are added, moved and removed by the file, all or nothing; open connections stay', async () => {
  const { a, write, file } = await follower('agent-j', [])
  const section = (text: string): Promise<void> => writeFile(file, `${fileText('agent-j', [])}${text}`)
  await section(
    'http: { listen: "127.0.0.1:0" }\nproxy: { listen: "127.0.0.1:0" }\ndns: { listen: "127.0.0.1:0" }\nobserve: { listen: "127.0.0.1:0" }\n',
  )
  const reloaded = await a.program.event('reloaded')
  assert.deepEqual([...(reloaded['sections'] as string[])].sort(), ['dns', 'http', 'observe', 'proxy'])
  const first = await a.status()
  assert.equal(await httpStatus(first.http!, 'nobody.example'), 404)
  assert.equal(await httpStatus(first.observe!, '127.0.0.1'), 200)
  assert.equal((await a.cli('drain')).code, 0)
  for (const place of [first.http!, first.proxy!, first.dns!]) await assert.rejects(open(stage, address(place)), place)
  assert.equal((await a.cli('resume')).code, 0)
  assert.equal(await httpStatus(first.http!, 'nobody.example'), 404)
  const tunnel = await open(stage, address(first.proxy!))
  tunnel.write('CONNECT agent-b:80 HTTP/1.1\r\n\r\n')
  assert.match((await some(tunnel)).toString(), /^HTTP\/1.1 200/)
  const taken = await echo(stage)
  await section(`proxy: { listen: "${first.proxy!}" }\ndns: { listen: "${taken.address}" }\n`)
  await eventually('it is refused', async () => (/is in use/.test((await config(a)).error ?? '') ? true : undefined))
  const same = await a.status()
  assert.deepEqual([same.http, same.proxy, same.dns, same.observe], [first.http, first.proxy, first.dns, first.observe])
  assert.deepEqual(
    [await httpStatus(first.http!, 'nobody.example'), await httpStatus(first.observe!, '127.0.0.1')],
    [404, 200],
  )
  await section('http: { listen: "127.0.0.1:0" }\nproxy: { listen: "127.0.0.2:0" }\n')
  await eventually('the proxy has moved', async () =>
    (await a.status()).proxy?.startsWith('127.0.0.2:') === true ? true : undefined,
  )
  const { dns, observe, http } = await a.status()
  assert.deepEqual([dns, observe, http], [undefined, null, first.http])
  for (const gone of [first.proxy!, first.dns!, first.observe!]) await assert.rejects(open(stage, address(gone)), gone)
  tunnel.write('still')
  assert.equal((await some(tunnel)).toString(), 'still')
  await write([])
  await eventually('the front is gone', async () => ((await a.status()).http === null ? true : undefined))
  tunnel.write('open')
  assert.equal((await some(tunnel)).toString(), 'open')
})

test('exposing port 7 on a running gateway replaces the echo service, which returns when the exposure is removed', async () => {
  const { a } = await follower('agent-k', [])
  const own = await echo(stage)
  await b.trusts('agent-k')
  const { local } = await b.json<{ local: string }>('map', '0:agent-k:7')
  const through = async (): Promise<number> => {
    assert.equal((await talk(stage, address(local), Buffer.from('hello'))).toString(), 'hello')
    return own.accepted
  }
  assert.equal(await through(), 0)
  assert.equal((await a.cli('expose', `7=${own.address}`)).code, 0)
  assert.equal(await through(), 1)
  assert.equal((await a.cli('unexpose', '7')).code, 0)
  assert.equal(await through(), 1)
})

interface Following {
  readonly a: Gateway
  readonly file: string
  readonly text: (maps: readonly string[]) => string
  write(maps: readonly string[]): Promise<void>
}

/** A gateway with these mappings in its file. */
async function follower(
  name: string,
  maps: readonly string[],
  path?: string,
  trust: readonly string[] = ['agent-b'],
): Promise<Following> {
  const file = path ?? stage.path(`config-${name}`, 'gateway.yaml')
  const text = (list: readonly string[]): string => fileText(name, list, trust)
  await mkdir(dirname(file), { recursive: true })
  if (path === undefined) await writeFile(file, text(maps))
  const { registry, beacon } = rendezvous
  const a = await Gateway.start(stage, { name, registry, beacon, args: ['-c', file] })
  if (trust.length > 0 && b.setup.trust!.includes(name)) await a.trusts('agent-b')
  return { a, file, text, write: (list) => writeFile(file, text(list)) }
}

function fileText(name: string, maps: readonly string[], trust: readonly string[] = ['agent-b']): string {
  return `version: 1\nnode: { hostname: ${name}, public: false, trust: [${trust.join(', ')}] } # who we are\nmap:${maps.length === 0 ? ' []' : maps.map((entry) => `\n  - ${entry}`).join('')}\n`
}

async function config(
  gateway: Gateway,
): Promise<{ readonly version: number; readonly file: string | null; readonly error: string | null }> {
  return (await gateway.status()).config!
}

async function httpStatus(local: string, host: string): Promise<number> {
  return await new Promise((resolve, reject) => {
    const { host: ip, port } = address(local)
    get({ host: ip, port, agent: false, headers: { host } }, (response) => {
      resolve(response.statusCode!)
      response.resume()
    }).on('error', reject)
  })
}

async function greeted(to: Address): Promise<Socket> {
  const socket = await open(stage, to)
  socket.write('hello')
  assert.equal((await some(socket)).toString(), 'hello')
  return socket
}

/** Opens one connection after another, each with an echo, until stopped. */
function requests(to: Address): { stop(): Promise<{ readonly done: number; readonly failed: readonly string[] }> } {
  const stopping = new AbortController()
  let done = 0
  const failed: string[] = []
  const worker = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      try {
        assert.equal((await talk(stage, to, Buffer.from('ping'))).toString(), 'ping')
        done += 1
      } catch (error) {
        failed.push(String(error))
      }
      await pause(2)
    }
  }
  const workers = Promise.all([worker(), worker(), worker(), worker()])
  return {
    stop: async () => {
      stopping.abort()
      await workers
      return { done, failed }
    },
  }
}
