/** `pilotgate nc PEER[:PORT]`: standard input and output as a stream to a peer; also as ProxyCommand of ssh. */
import type { Duplex } from 'node:stream'
import { resolveAdminSocket } from '../../config/paths.ts'
import { parsePeerName } from '../../base/address.ts'
import { STDIO_PORT } from '../../base/overlay-ports.ts'
import type { Cli } from '../cli.ts'
import type { World } from '../world.ts'
import { withAdmin, type ReaderOptions } from './reader.ts'

export function addNc(cli: Cli): void {
  const { world } = cli
  withAdmin(
    cli.add(cli.program, 'nc <target>', `connect standard input and output to PEER[:PORT] (port ${STDIO_PORT})`, [
      'pilotgate nc agent-b:5432',
      'ssh -o ProxyCommand="pilotgate nc %h:22" user@agent-b',
    ]),
  ).action(
    cli.action(async (_out, target: string, options: ReaderOptions) => {
      const socket = resolveAdminSocket({ flags: options, env: world.env })
      await joinInput(world, await world.openStream(socket, withPort(target, STDIO_PORT)))
    }),
  )
}

/** A peer alone gets this port; its address has a colon too. */
export function withPort(target: string, port: number): string {
  return parsePeerName(target) === undefined ? target : `${target}:${port}`
}

/** Until both directions have ended, each on its own. @throws PilotError: PEER_RESET, NOT_RUNNING. */
async function joinInput(world: World, stream: Duplex): Promise<void> {
  const sending = sendInput(world, stream)
  sending.catch(() => stream.destroy())
  for await (const part of stream as AsyncIterable<Uint8Array>) await world.write(part)
  await sending
}

async function sendInput(world: World, stream: Duplex): Promise<void> {
  for await (const part of world.input) {
    if (!stream.writable) return
    await new Promise<void>((resolve) => {
      stream.write(part as unknown as Uint8Array, () => resolve())
    })
  }
  stream.end()
}
