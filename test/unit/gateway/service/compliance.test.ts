/** Every kind of mapping and exposure through the same tests, and those specific to one kind. */
import { createSocket } from 'node:dgram'
import type { Socket as UdpSocket } from 'node:dgram'
import { mkdtempSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import type { Service } from '../../../../src/gateway/service/table.ts'
import { AccessLog } from '../../../../src/gateway/http/access-log.ts'
import { Exposure } from '../../../../src/gateway/expose/tcp.ts'
import { UdpExposure } from '../../../../src/gateway/expose/udp.ts'
import { Mapping } from '../../../../src/gateway/map/tcp.ts'
import { UdpMapping } from '../../../../src/gateway/map/udp.ts'
import type { ExposeSpec } from '../../../../src/gateway/model/expose-spec.ts'
import { parseExposeSpec } from '../../../../src/gateway/model/expose-spec.ts'
import type { MapSpec } from '../../../../src/gateway/model/map-spec.ts'
import { parseMapSpec } from '../../../../src/gateway/model/map-spec.ts'
import type { ExposedRecord, MappedRecord } from '../../../../src/gateway/model/records.ts'
import { ConnectionTable } from '../../../../src/gateway/service/connections.ts'
import { LoopbackPool } from '../../../../src/gateway/service/loopback-pool.ts'
import { silentLogger } from '../../../../src/runtime/log.ts'
import { HostAddresses } from '../../../../src/runtime/net/host-addresses.ts'
import type { Listener, Overlay, OverlayDatagrams } from '../../../../src/runtime/overlay.ts'
import { serviceCompliance } from './compliance.ts'
import type { Kind, Stage, Wish } from './compliance.ts'
import { MemoryNetwork } from './memory-overlay.ts'

const PORT = 80

/** A mapping of agent-a's, to what agent-b listens to. */
const LOGS = { log: silentLogger, access: new AccessLog(silentLogger) }

function mapping(
  name: string,
  spec: string,
  protocol: 'tcp' | 'udp',
  make: (spec: MapSpec, deps: ConstructorParameters<typeof Mapping>[1]) => Service<MappedRecord>,
): Kind {
  const open = async (): Promise<Stage> => {
    const network = new MemoryNetwork()
    const [near, far] = [network.node('agent-a'), network.node('agent-b')]
    network.node('agent-c')
    const connections = new ConnectionTable()
    const pool = await LoopbackPool.open(mkdtempSync(join(tmpdir(), 'pg-unit-')), `${name} ${process.pid}`)
    const deps = { ...LOGS, node: near, pool, connections, allowLan: false }
    let place = 0
    let listening: Listener | OverlayDatagrams | undefined
    return {
      connections,
      taken: [],
      make: ({ changed, elsewhere }: Wish) => {
        const parsed = parseMapSpec(spec)
        const localPort = elsewhere === undefined ? place : place + 1
        const wanted = { ...parsed, localPort, ...(changed && { clients: ['127.0.0.0/8'] }) }
        const service = make(wanted, deps)
        const start = service.start.bind(service)
        service.start = async () => {
          await start()
          place = Number(service.record.local.split(':').at(-1)) // the next one asks for the same address
        }
        return service
      },
      use: async (service) => {
        const [address, port] = (service.record as MappedRecord).local.split(':')
        return await (protocol === 'tcp' ? askTcp : askUdp)(address!, Number(port))
      },
      target: async (answers) => {
        listening?.close()
        listening = undefined
        if (!answers) return
        if (protocol === 'tcp') listening = await far.listen(PORT, (incoming) => serve(incoming.accept()))
        else {
          const port: OverlayDatagrams = await far.datagrams(PORT, (_bytes, from, sourcePort) => {
            void port.send(String(from), sourcePort, Buffer.from('answer'))
          })
          listening = port
        }
      },
      close: async () => {
        listening?.close()
        await connections.drain(0)
      },
    }
  }
  return { name, isMapping: true, open }
}

/** An exposure of agent-b's, which agent-a uses. */
function exposure(
  name: string,
  { options = '', byName = false }: { readonly options?: string; readonly byName?: boolean },
  protocol: 'tcp' | 'udp',
  make: (spec: ExposeSpec, deps: ConstructorParameters<typeof Exposure>[1]) => Service<ExposedRecord>,
): Kind {
  const open = async (): Promise<Stage> => {
    const network = new MemoryNetwork()
    const [near, far] = [network.node('agent-a'), network.node('agent-b')]
    const connections = new ConnectionTable()
    const taken: string[] = []
    let isNamed = true
    let skippedMs = 0
    const lookUp = async (): Promise<readonly string[]> => {
      if (isNamed) return ['127.0.0.1']
      throw new Error('getaddrinfo ENOTFOUND service.test')
    }
    const deps = {
      node: far,
      connections,
      hosts: new HostAddresses(lookUp, () => performance.now() + skippedMs),
      ...LOGS,
      stateDir: '/nonexistent',
      onTaken: ({ name: over }: ExposeSpec) => void taken.push(over),
    }
    const target = protocol === 'tcp' ? new TcpTarget() : new UdpService()
    await target.reserve()
    let clientPort = 50_000
    return {
      connections,
      taken,
      make: ({ changed, elsewhere, once }: Wish) => {
        const suffix = protocol === 'udp' ? '/udp' : ''
        const extra = `${options}${changed ? ',max=100' : ''}${once ? ',once' : ''}`
        const port = elsewhere ? PORT + 1 : PORT
        return make(
          parseExposeSpec(`${port}${suffix}=${byName ? 'service.test' : '127.0.0.1'}:${target.port}${extra}`),
          deps,
        )
      },
      use: async () => {
        if (protocol === 'tcp') {
          const stream = await near.dial(`agent-b:${PORT}`).catch(() => undefined)
          return stream === undefined ? undefined : await question(stream)
        }
        return await askDatagrams(near, clientPort++)
      },
      target: async (answers) => {
        skippedMs += 60_000 // the cached name has expired
        if (byName) isNamed = answers
        await target.answer(byName || answers)
      },
      close: async () => {
        await connections.drain(0)
        await target.answer(false)
      },
    }
  }
  return { name, isMapping: false, open }
}

function askDatagrams(near: Overlay, from: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const opened = near.datagrams(from, (bytes) => done(Buffer.from(bytes).toString()))
    const late = setTimeout(() => done(undefined), SILENCE_MS)
    const done = (heard: string | undefined): void => {
      clearTimeout(late)
      void opened.then((port) => port.close())
      resolve(heard)
    }
    void opened.then((port) => port.send('agent-b', PORT, Buffer.from('question')))
  })
}

/** A local TCP service that can stop and come back. */
class TcpTarget {
  port = 0
  #server: Server | undefined
  readonly #sockets = new Set<Socket>()

  async reserve(): Promise<void> {
    await this.answer(true)
    this.port = (this.#server!.address() as AddressInfo).port
  }

  async answer(answers: boolean): Promise<void> {
    if (answers === (this.#server !== undefined)) return
    if (!answers) {
      for (const socket of this.#sockets) socket.destroy()
      await new Promise((resolve) => this.#server!.close(resolve))
      this.#server = undefined
      return
    }
    const server = createServer((socket) => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
      serve(socket)
    })
    this.#server = server
    await new Promise<void>((resolve) => server.listen(this.port, '127.0.0.1', resolve))
  }
}

class UdpService {
  port = 0
  #socket: UdpSocket | undefined

  async reserve(): Promise<void> {
    await this.answer(true)
    this.port = this.#socket!.address().port
  }

  async answer(answers: boolean): Promise<void> {
    if (answers === (this.#socket !== undefined)) return
    if (!answers) {
      this.#socket!.close()
      this.#socket = undefined
      return
    }
    const socket = createSocket('udp4')
    this.#socket = socket
    socket.on('message', (_bytes, from) => socket.send('answer', from.port, from.address))
    await new Promise<void>((resolve) => socket.bind(this.port, '127.0.0.1', resolve))
  }
}

/** Answers the first chunk, in HTTP if it is HTTP, and ends. */
function serve(stream: Duplex): void {
  stream.on('error', () => {})
  stream.resume().once('data', (chunk: Buffer) => {
    const isHttp = chunk.toString().startsWith('GET ')
    stream.end(isHttp ? 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nanswer' : 'answer')
  })
}

function question(stream: Duplex): Promise<string | undefined> {
  return new Promise((resolve) => {
    let heard = ''
    const late = setTimeout(() => stream.destroy(), LATE_MS)
    stream.on('error', () => {})
    stream.on('data', (chunk: Buffer) => (heard += chunk.toString()))
    stream.once('close', () => {
      clearTimeout(late)
      const isAnswer = heard === 'answer' || (heard.startsWith('HTTP/1.1 200') && heard.endsWith('answer'))
      resolve(isAnswer ? 'answer' : undefined)
    })
    stream.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
    stream.once('end', () => stream.end())
    stream.resume()
  })
}

async function askTcp(address: string, port: number): Promise<string | undefined> {
  return await question(connect({ host: address, port, allowHalfOpen: true }))
}

function askUdp(address: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4')
    const late = setTimeout(() => done(undefined), SILENCE_MS)
    const done = (heard: string | undefined): void => {
      clearTimeout(late)
      socket.close()
      resolve(heard)
    }
    socket.once('message', (bytes) => done(bytes.toString()))
    socket.on('error', () => {})
    socket.send('question', port, address)
  })
}

/** A datagram in memory or on loopback arrives within a few milliseconds, or never; a busy machine may take more. */
const SILENCE_MS = 300
const LATE_MS = 2_000

serviceCompliance(mapping('TCP map', `127.0.0.1:0:agent-b:${PORT}`, 'tcp', (spec, deps) => new Mapping(spec, deps)))
serviceCompliance(
  mapping('group', `127.0.0.1:0:agent-c|agent-b:${PORT}`, 'tcp', (spec, deps) => new Mapping(spec, deps)),
)
serviceCompliance(
  mapping('UDP map', `127.0.0.1:0:agent-b:${PORT}/udp`, 'udp', (spec, deps) => new UdpMapping(spec, deps)),
)
serviceCompliance(exposure('TCP expose', {}, 'tcp', (spec, deps) => new Exposure(spec, deps)))
serviceCompliance(exposure('TCP expose by name', { byName: true }, 'tcp', (spec, deps) => new Exposure(spec, deps)))
serviceCompliance(
  exposure('HTTP expose', { options: ',identity=headers' }, 'tcp', (spec, deps) => new Exposure(spec, deps)),
)
serviceCompliance(exposure('UDP expose', {}, 'udp', (spec, deps) => new UdpExposure(spec, deps)))
serviceCompliance(exposure('UDP expose by name', { byName: true }, 'udp', (spec, deps) => new UdpExposure(spec, deps)))
