/** The sample gRPC service of config/demo.proto on `@grpc/grpc-js`, and its client with one method for each kind of call. */
import type {
  ClientDuplexStream,
  ClientReadableStream,
  ServerDuplexStream,
  ServerReadableStream,
  ServerUnaryCall,
  ServerWritableStream,
  ServiceError,
  sendUnaryData,
} from '@grpc/grpc-js'
import { isInstalled } from '../../runtime/optional-package.ts'
import { decodeNumber, decodeText, encodeNumber, encodeText, type NumberMessage, type TextMessage } from './protobuf.ts'
import type { Sample } from './http-sample.ts'

/** False if the package is not installed: only this sample needs it, not a gateway. */
export async function hasGrpc(): Promise<boolean> {
  return await isInstalled(GRPC_PACKAGE, () => import('@grpc/grpc-js'))
}

export const GRPC_PACKAGE = '@grpc/grpc-js'

export async function startGrpcSample(): Promise<Sample> {
  const { Server, ServerCredentials } = await import('@grpc/grpc-js')
  const server = new Server()
  server.addService(SERVICE, { Greet: greet, Count: count, Sum: sum, Echo: echo })
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    )
  })
  return {
    address: `127.0.0.1:${port}`,
    stop: () => {
      server.forceShutdown()
      return Promise.resolve()
    },
  }
}

export interface DemoClient {
  greet(text: string): Promise<string>
  count(value: number): Promise<number[]>
  sum(values: readonly number[]): Promise<number>
  /** Sends one text, waits for it to come back, then the next: the directions really alternate. */
  echo(texts: readonly string[]): Promise<string[]>
  close(): void
}

export async function demoClient(address: string, timeoutMs: number): Promise<DemoClient> {
  const { Client, Metadata, credentials } = await import('@grpc/grpc-js')
  // A proxy in the environment is not meant for a loopback address.
  const client = new Client(address, credentials.createInsecure(), { 'grpc.enable_http_proxy': 0 })
  const call = () => ({ deadline: Date.now() + timeoutMs })
  return {
    greet: (text) =>
      new Promise((resolve, reject) => {
        client.makeUnaryRequest(
          SERVICE.Greet.path,
          encodeText,
          decodeText,
          { text },
          new Metadata(),
          call(),
          settle(resolve, reject, (reply) => reply.text),
        )
      }),
    count: async (value) =>
      (
        await collect(
          client.makeServerStreamRequest(
            SERVICE.Count.path,
            encodeNumber,
            decodeNumber,
            { value },
            new Metadata(),
            call(),
          ),
        )
      ).map((reply) => reply.value),
    sum: (values) =>
      new Promise((resolve, reject) => {
        const stream = client.makeClientStreamRequest(
          SERVICE.Sum.path,
          encodeNumber,
          decodeNumber,
          new Metadata(),
          call(),
          settle(resolve, reject, (reply) => reply.value),
        )
        for (const value of values) stream.write({ value })
        stream.end()
      }),
    echo: (texts) =>
      alternate(client.makeBidiStreamRequest(SERVICE.Echo.path, encodeText, decodeText, new Metadata(), call()), texts),
    close: () => client.close(),
  }
}

function greet(call: ServerUnaryCall<TextMessage, TextMessage>, reply: sendUnaryData<TextMessage>): void {
  reply(null, { text: `Hello, ${call.request.text}` })
}

function count(call: ServerWritableStream<NumberMessage, NumberMessage>): void {
  for (let value = 1; value <= Math.min(call.request.value, MAX_COUNT); value++) call.write({ value })
  call.end()
}

function sum(call: ServerReadableStream<NumberMessage, NumberMessage>, reply: sendUnaryData<NumberMessage>): void {
  let value = 0
  call.on('data', (message: NumberMessage) => {
    value = (value + message.value) >>> 0
  })
  call.on('end', () => reply(null, { value }))
}

function echo(call: ServerDuplexStream<TextMessage, TextMessage>): void {
  call.on('data', (message: TextMessage) => call.write(message))
  call.on('end', () => call.end())
}

function settle<M, T>(resolve: (value: T) => void, reject: (error: unknown) => void, read: (message: M) => T) {
  return (error: ServiceError | null, message?: M): void => {
    if (error !== null) reject(error)
    else resolve(read(message!))
  }
}

function collect(stream: ClientReadableStream<NumberMessage>): Promise<NumberMessage[]> {
  return new Promise((resolve, reject) => {
    const messages: NumberMessage[] = []
    stream.on('data', (message: NumberMessage) => messages.push(message))
    stream.on('error', reject)
    stream.on('end', () => resolve(messages))
  })
}

function alternate(stream: ClientDuplexStream<TextMessage, TextMessage>, texts: readonly string[]): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const replies: string[] = []
    const next = (): void => {
      const text = texts[replies.length]
      if (text === undefined) stream.end()
      else stream.write({ text })
    }
    stream.on('data', (message: TextMessage) => {
      replies.push(message.text)
      next()
    })
    stream.on('error', reject)
    stream.on('end', () => resolve(replies))
    next()
  })
}

/** What protoc would generate from config/demo.proto. */
const SERVICE = {
  Greet: {
    path: '/pilotgate.demo.Demo/Greet',
    requestStream: false,
    responseStream: false,
    requestSerialize: encodeText,
    requestDeserialize: decodeText,
    responseSerialize: encodeText,
    responseDeserialize: decodeText,
  },
  Count: {
    path: '/pilotgate.demo.Demo/Count',
    requestStream: false,
    responseStream: true,
    requestSerialize: encodeNumber,
    requestDeserialize: decodeNumber,
    responseSerialize: encodeNumber,
    responseDeserialize: decodeNumber,
  },
  Sum: {
    path: '/pilotgate.demo.Demo/Sum',
    requestStream: true,
    responseStream: false,
    requestSerialize: encodeNumber,
    requestDeserialize: decodeNumber,
    responseSerialize: encodeNumber,
    responseDeserialize: decodeNumber,
  },
  Echo: {
    path: '/pilotgate.demo.Demo/Echo',
    requestStream: true,
    responseStream: true,
    requestSerialize: encodeText,
    requestDeserialize: decodeText,
    responseSerialize: encodeText,
    responseDeserialize: decodeText,
  },
}

const MAX_COUNT = 100_000 // messages; the sample is not a load generator
