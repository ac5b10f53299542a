/**
 * host=rewrite, in front of servers that check `Host` as Vite, Django and the MCP SDK do: with it they answer, without
 * it they refuse; a name of the public DNS gets nothing either way.
 */
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { createServer, request } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { connect } from 'node:net'
import { format, pair, Stage } from './harness.ts'
import type { Address, Pair } from './harness.ts'
import { within } from './servers.ts'

let stage: Stage
let both: Pair
let service: string
before(async () => {
  stage = await Stage.open()
  service = await strictServer(stage)
  const port = service.split(':')[1]!
  both = await pair(
    stage,
    { map: ['0:agent-b:80', '0:agent-b:81', `0:agent-b:${port},host=rewrite`, '0:agent-b:82'] },
    {
      expose: [
        `80=${service},host=rewrite`,
        `81=${service}`,
        `${port}=${service}`,
        `82=${service},host=rewrite,identity=headers`,
      ],
    },
  )
})
after(async () => stage.close())

/** Answers only its own names, and shows what it received. It redirects to itself with a full URL. */
async function strictServer(scene: Stage): Promise<string> {
  const server = createServer((req, res) => {
    const host = (req.headers.host ?? '').replace(/:\d+$/, '')
    if (host !== 'localhost' && host !== '127.0.0.1') res.writeHead(403).end(`Invalid Host: ${host}`)
    else if (req.url === '/away') res.writeHead(302, { location: 'http://example.com/x' }).end()
    else if (req.url === '/self') res.writeHead(302, { location: `http://${req.headers.host}/there?q` }).end()
    else res.end(JSON.stringify({ url: req.url, ...req.headers }))
  })
  server.on('upgrade', (req, socket: Socket) => {
    const isOwn = req.headers.origin === `http://${req.headers.host}`
    socket.end(`HTTP/1.1 ${isOwn ? '101 Switching Protocols\r\nUpgrade: websocket' : '403 Forbidden'}\r\n\r\nhi`)
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  scene.defer(async () => {
    server.closeAllConnections()
    server.close()
  })
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

interface Answer {
  readonly status: number
  readonly location: string | undefined
  readonly body: string
}

async function get(at: Address, path: string, headers: Record<string, string>): Promise<Answer> {
  return await within(
    `GET ${path}`,
    new Promise<Answer>((resolve, reject) => {
      const out = request({ ...at, path, headers, agent: false }, (res) => {
        let body = ''
        res.setEncoding('utf8').on('data', (part: string) => (body += part))
        res.on('end', () => resolve({ status: res.statusCode!, location: res.headers.location, body }))
      })
      out.on('error', reject).end()
    }),
  )
}

function mapped(port: number | string): Address {
  return both.a.local(`agent-b:${port}`)
}

test('without it the service sees the name that the client used, and refuses it', async () => {
  const { status, body } = await get(mapped(81), '/', { host: '127.77.219.203:8080' })
  assert.deepEqual([status, body], [403, 'Invalid Host: 127.77.219.203'])
})

test('at an exposure and at a mapping, the service sees its own name as Host and as Origin of its pages', async () => {
  const [, port] = service.split(':')
  for (const [where, seen] of [
    [80, service],
    [port!, `localhost:${port}`],
  ] as const) {
    for (const host of ['127.77.219.203:8080', 'localhost:8080', 'agent-b.pilot.localhost:8088']) {
      const { status, body } = await get(mapped(where), '/path?q=1', { host, origin: `http://${host}` })
      assert.equal(status, 200, `${where} ${host} ${body}`)
      const received = JSON.parse(body) as Record<string, string>
      assert.deepEqual([received['url'], received['host'], received['origin']], ['/path?q=1', seen, `http://${seen}`])
    }
    const { body } = await get(mapped(where), '/', { host: 'localhost', origin: 'https://evil.example' })
    assert.equal((JSON.parse(body) as Record<string, string>)['origin'], 'https://evil.example')
  }
})

test('a name of the public DNS, which could lead here by rebinding, is refused before the service sees it', async () => {
  for (const where of [80, service.split(':')[1]!]) {
    const { status, body } = await get(mapped(where), '/', { host: 'rebound.example.com:8080' })
    assert.equal(status, 403, body)
    assert.match(body, /rebound\.example\.com/)
  }
})

test('a redirect of the service to itself leads to the address that the client used; others stay', async () => {
  for (const where of [80, service.split(':')[1]!]) {
    assert.equal(
      (await get(mapped(where), '/self', { host: 'localhost:8080' })).location,
      'http://localhost:8080/there?q',
    )
    assert.equal((await get(mapped(where), '/away', { host: 'localhost:8080' })).location, 'http://example.com/x')
  }
})

test('with identity headers too, X-Forwarded-Host keeps the name that the client used', async () => {
  const { body } = await get(mapped(82), '/', { host: 'localhost:8080' })
  const received = JSON.parse(body) as Record<string, string>
  assert.deepEqual(
    [received['host'], received['x-forwarded-host'], received['pilot-hostname']],
    [service, 'localhost:8080', 'agent-a'],
  )
})

test('a WebSocket of a page that the service itself served is accepted', async () => {
  for (const where of [80, service.split(':')[1]!]) {
    const at = mapped(where)
    const socket = connect(at)
    stage.defer(async () => socket.destroy())
    socket.write(
      `GET /ws HTTP/1.1\r\nHost: ${format(at)}\r\nOrigin: http://${format(at)}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`,
    )
    const head = await within(
      'the answer to the upgrade',
      new Promise<string>((resolve, reject) => {
        socket.once('data', (part) => resolve(String(part))).once('error', reject)
      }),
    )
    assert.match(head, /^HTTP\/1\.1 101 /)
  }
})

test('a peer without that port is a 502 with the code, not a reset', async () => {
  const closed = await stage.pilotgate(['map', '0:agent-b:9999,host=rewrite', '--admin', both.a.admin, '--json'])
  const { local } = (JSON.parse(closed.stdout) as { data: { local: string } }).data
  const [host, port] = local.split(':')
  const { status, body } = await get({ host: host!, port: Number(port) }, '/', { host: 'localhost' })
  assert.equal(status, 502)
  assert.match(body, /CONNECTION_REFUSED/)
})
