/**
 * The load's programs are controlled over a Unix socket, which crosses network namespaces: POST /NAME with JSON, JSON
 * back.
 */
import { createServer, request } from 'node:http'

export type Handlers = Readonly<Record<string, (body: never) => unknown>>

export function serveControl(socket: string, handlers: Handlers): void {
  const server = createServer((call, response) => {
    const parts: Buffer[] = []
    call.on('data', (part: Buffer) => parts.push(part))
    call.on('end', () => void answer())
    const answer = async (): Promise<void> => {
      try {
        const handler = handlers[call.url!.slice(1)]
        if (handler === undefined) throw new Error(`no command ${call.url}`)
        const result: unknown = await handler(JSON.parse(Buffer.concat(parts).toString('utf8')) as never)
        response.end(JSON.stringify({ result: result ?? null }))
      } catch (error) {
        response.end(JSON.stringify({ error: error instanceof Error ? error.stack : String(error) }))
      }
    }
  })
  server.listen(socket, () => console.log(JSON.stringify({ event: 'listening' })))
}

export async function control<T>(socket: string, command: string, body: unknown = {}, timeoutMs = 60_000): Promise<T> {
  const text = await new Promise<string>((resolve, reject) => {
    const call = request({ socketPath: socket, path: `/${command}`, method: 'POST', agent: false }, (response) => {
      const parts: Buffer[] = []
      response.on('data', (part: Buffer) => parts.push(part))
      response.on('end', () => resolve(Buffer.concat(parts).toString('utf8')))
      response.on('error', reject)
    })
    call.setTimeout(timeoutMs, () => call.destroy(new Error(`${command}: no answer within ${timeoutMs} ms`)))
    call.on('error', reject)
    call.end(JSON.stringify(body))
  })
  const { result, error } = JSON.parse(text) as { readonly result: T; readonly error?: string }
  if (error !== undefined) throw new Error(`${command}: ${error}`)
  return result
}
