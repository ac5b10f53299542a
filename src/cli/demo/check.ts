/** `demo --check`: uses both sample services through the mapped addresses, like any client, and reports the results. */
import { createHash } from 'node:crypto'
import { request } from 'node:http'
import { demoClient } from './grpc-sample.ts'
import { GREETING, sampleBytes } from './http-sample.ts'

export interface Checked {
  readonly name: string
  readonly detail: string
}

export interface Check {
  readonly name: string
  /** Resolves with the observation; rejects if it is not as expected. */
  run(): Promise<string>
}

/** `http` and `grpc` are the mapped local addresses; without `grpc` only HTTP is checked. */
export function checksOf(http: string, grpc: string | undefined, timeoutMs: number): Check[] {
  return [...httpChecks(http), ...(grpc === undefined ? [] : grpcChecks(grpc, timeoutMs))]
}

function grpcChecks(grpc: string, timeoutMs: number): Check[] {
  const withClient = async <T>(use: (client: Awaited<ReturnType<typeof demoClient>>) => Promise<T>): Promise<T> => {
    const client = await demoClient(grpc, timeoutMs)
    try {
      return await use(client)
    } finally {
      client.close()
    }
  }
  return [
    {
      name: 'gRPC unary',
      run: () =>
        withClient(async (client) => {
          expectEqual(await client.greet('pilot'), 'Hello, pilot')
          return 'Greet("pilot") answered "Hello, pilot"'
        }),
    },
    {
      name: 'gRPC server streaming',
      run: () =>
        withClient(async (client) => {
          expectEqual(
            await client.count(100),
            Array.from({ length: 100 }, (_, index) => index + 1),
          )
          return 'Count(100) streamed 1 to 100'
        }),
    },
    {
      name: 'gRPC client streaming',
      run: () =>
        withClient(async (client) => {
          expectEqual(await client.sum(Array.from({ length: 100 }, (_, index) => index + 1)), 5050)
          return 'Sum(1 … 100) answered 5050'
        }),
    },
    {
      name: 'gRPC bidirectional streaming',
      run: () =>
        withClient(async (client) => {
          const texts = Array.from({ length: 20 }, (_, index) => `message ${index}`)
          expectEqual(await client.echo(texts), texts)
          return 'Echo returned 20 texts, one by one'
        }),
    },
  ]
}

function httpChecks(http: string): Check[] {
  return [
    {
      name: 'HTTP status and body',
      run: async () => {
        const { status, body } = await fetchBody(`http://${http}/`)
        expectEqual([status, body.toString('utf8')], [200, GREETING])
        return `GET http://${http}/ answered 200 with the expected text`
      },
    },
    {
      name: 'HTTP download',
      run: async () => {
        const { status, body } = await fetchBody(`http://${http}/bytes/${DOWNLOAD_BYTES}`)
        const expected = createHash('sha256')
        for (const block of sampleBytes(DOWNLOAD_BYTES)) expected.update(block)
        const digest = createHash('sha256').update(body).digest('hex')
        expectEqual([status, body.length, digest], [200, DOWNLOAD_BYTES, expected.digest('hex')])
        return `1 MiB arrived unchanged, SHA-256 ${digest.slice(0, 16)}…`
      },
    },
    {
      name: 'HTTP upload',
      run: async () => {
        const sent = Buffer.concat([...sampleBytes(UPLOAD_BYTES)])
        const { status, body } = await fetchBody(`http://${http}/echo`, sent)
        expectEqual([status, body.equals(sent)], [200, true])
        return `${UPLOAD_BYTES} bytes went there and came back unchanged`
      },
    },
  ]
}

function fetchBody(url: string, body?: Uint8Array): Promise<{ status: number | undefined; body: Buffer }> {
  return new Promise((resolve, reject) => {
    const call = request(url, { method: body === undefined ? 'GET' : 'POST', agent: false }, (response) => {
      const parts: Buffer[] = []
      response.on('data', (part: Buffer) => parts.push(part))
      response.on('error', reject)
      response.on('end', () => resolve({ status: response.statusCode, body: Buffer.concat(parts) }))
    })
    call.on('error', reject)
    call.end(body)
  })
}

function expectEqual(actual: unknown, expected: unknown): void {
  const [got, wanted] = [JSON.stringify(actual), JSON.stringify(expected)]
  if (got !== wanted) throw new Error(`expected ${wanted.slice(0, 200)}, got ${got.slice(0, 200)}`)
}

const DOWNLOAD_BYTES = 1024 * 1024
const UPLOAD_BYTES = 300_000
