/** The measuring process: takes one order at a time on a Unix socket and answers with what it saw. */
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { GrpcClient } from './grpc.ts'
import { ECHO, NatsClient, natsPull } from './nats.ts'
import {
  atATime,
  connections,
  hold,
  httpRequests,
  repeat,
  requests,
  roundTrips,
  setUps,
  transfer,
} from './tcp-client.ts'
import type { Direction, Target } from './tcp-client.ts'

export type Order =
  | { readonly do: 'setUps'; readonly by: Speech; readonly to: Target; readonly count: number }
  | {
      readonly do: 'roundTrips'
      readonly by: Speech
      readonly to: Target
      readonly count: number
      readonly bytes: number
    }
  | {
      readonly do: 'transfer'
      readonly by: Speech
      readonly to: Target
      readonly direction: Direction
      readonly streams: number
      readonly bytes: number
    }
  | { readonly do: 'requests'; readonly to: Target; readonly count: number; readonly bytes: number }
  | {
      readonly do: 'connections' | 'http' | 'unary'
      readonly to: Target
      readonly forMs: number
      readonly concurrency: number
    }
  | { readonly do: 'hold'; readonly by: Speech; readonly to: Target; readonly count: number }
  | { readonly do: 'release' }

/** The caller gives up on an order that takes too long; its answer may still arrive. */
export interface Asked {
  readonly id: number
  readonly order: Order
}

/** echo: bytes as they are, to a service that returns them (the one of a Go node). */
export type Speech = 'tcp' | 'echo' | 'grpc' | 'nats'

export function serveOrders(socketPath: string): void {
  const socket = connect(socketPath)
  socket.on('close', () => process.exit(0)) // the benchmark is gone
  createInterface({ input: socket }).on('line', (line) => {
    const { id, order } = JSON.parse(line) as Asked
    const answer = (answer: object): void => void socket.write(`${JSON.stringify({ id, ...answer })}\n`)
    obey(order).then(
      (result) => answer({ result }),
      (error: unknown) => answer({ error: error instanceof Error ? error.message : String(error) }),
    )
  })
}

const releases: (() => Promise<void>)[] = []

async function obey(order: Order): Promise<unknown> {
  switch (order.do) {
    case 'setUps':
      return order.by === 'grpc'
        ? await grpcSetUps(order.to, order.count)
        : order.by === 'nats'
          ? await natsSetUps(order.to, order.count)
          : await setUps(order.to, order.count, order.by === 'echo')
    case 'roundTrips':
      return order.by === 'grpc'
        ? await grpcRoundTrips(order.to, order.count, order.bytes)
        : order.by === 'nats'
          ? await natsRoundTrips(order.to, order.count, order.bytes)
          : await roundTrips(order.to, order.count, order.bytes, order.by === 'echo')
    case 'transfer':
      return order.by === 'grpc'
        ? await grpcTransfer(order.to, order.streams, order.bytes)
        : order.by === 'nats'
          ? await natsTransfer(order.to, order.bytes)
          : await transfer(order.to, order.direction, order.streams, order.bytes)
    case 'requests':
      return await requests(order.to, order.count, order.bytes)
    case 'connections':
      return await connections(order.to, order.forMs, order.concurrency)
    case 'http':
      return await httpRequests(order.to, order.forMs, order.concurrency)
    case 'unary':
      return await grpcUnary(order.to, order.forMs, order.concurrency)
    case 'hold':
      releases.push(
        order.by === 'grpc'
          ? await grpcHold(order.to, order.count)
          : order.by === 'nats'
            ? await natsHold(order.to, order.count)
            : await hold(order.to, order.count),
      )
      return null
    case 'release':
      for (const release of releases.splice(0)) await release()
      return null
  }
}

async function timed(count: number, work: () => Promise<void>): Promise<number[]> {
  const times: number[] = []
  for (let i = 0; i < count; i++) {
    const began = performance.now()
    await work()
    times.push(performance.now() - began)
  }
  return times
}

/** Its own channel and one call on it. */
async function grpcSetUps(to: Target, count: number): Promise<number[]> {
  const clients: GrpcClient[] = []
  const times = await timed(count, async () => {
    const client = new GrpcClient(to)
    clients.push(client)
    await client.echo(ONE)
  })
  for (const client of clients) client.close()
  return times
}

async function grpcRoundTrips(to: Target, count: number, bytes: number): Promise<number[]> {
  return await withGrpc(to, async (client) => {
    const message = Buffer.alloc(bytes, 'm')
    await timed(WARM_UP, () => client.echo(message))
    return await timed(count, () => client.echo(message))
  })
}

async function grpcTransfer(to: Target, streams: number, bytes: number): Promise<number> {
  return await withGrpc(to, async (client) => {
    await client.echo(ONE)
    const began = performance.now()
    await Promise.all(Array.from({ length: streams }, () => client.pull(Math.ceil(bytes / streams))))
    return performance.now() - began
  })
}

async function grpcUnary(to: Target, forMs: number, concurrency: number): Promise<unknown> {
  return await withGrpc(to, async (client) => {
    const message = Buffer.alloc(SMALL_MESSAGE_BYTES, 'm')
    await client.echo(message)
    return await repeat(forMs, concurrency, () => client.echo(message))
  })
}

async function withGrpc<T>(to: Target, work: (client: GrpcClient) => Promise<T>): Promise<T> {
  const client = new GrpcClient(to)
  try {
    return await work(client)
  } finally {
    client.close()
  }
}

async function grpcHold(to: Target, count: number): Promise<() => Promise<void>> {
  const clients: GrpcClient[] = []
  await atATime(8, count, async () => {
    const client = new GrpcClient(to)
    clients.push(client)
    await client.echo(ONE)
  })
  return async () => {
    for (const client of clients) client.close()
  }
}

async function natsSetUps(to: Target, count: number): Promise<number[]> {
  return await timed(count, async () => (await NatsClient.open(to)).close())
}

async function natsRoundTrips(to: Target, count: number, bytes: number): Promise<number[]> {
  const client = await NatsClient.open(to)
  client.subscribe('_INBOX.bench', 1)
  const message = Buffer.alloc(bytes, 'm')
  const once = (): Promise<void> =>
    new Promise((resolve, reject) => {
      client.onMessage = (_message, size) =>
        size === bytes ? resolve() : reject(new Error(`${size} of ${bytes} bytes came back`))
      client.publish(ECHO, '_INBOX.bench', message)
    })
  await timed(WARM_UP, once)
  const times = await timed(count, once)
  client.close()
  return times
}

async function natsTransfer(to: Target, bytes: number): Promise<number> {
  const client = await NatsClient.open(to)
  const began = performance.now()
  await natsPull(client, bytes)
  const ms = performance.now() - began
  client.close()
  return ms
}

async function natsHold(to: Target, count: number): Promise<() => Promise<void>> {
  const clients: NatsClient[] = []
  await atATime(16, count, async () => void clients.push(await NatsClient.open(to)))
  return async () => {
    for (const client of clients) client.close()
  }
}

const ONE = Buffer.alloc(1, 'x')
const WARM_UP = 20
const SMALL_MESSAGE_BYTES = 64
