/** The common part of commands that query a running gateway: --admin and its client. */
import type { Command } from 'commander'
import type { AdminClient } from '../../admin/client.ts'
import { resolveAdminSocket } from '../../config/paths.ts'
import type { World } from '../world.ts'

export interface ReaderOptions {
  readonly admin?: string
}

export function withAdmin(command: Command): Command {
  return command.option('--admin <socket>', 'admin socket of the running gateway (env PILOTGATE_ADMIN)')
}

export function clientOf(options: ReaderOptions, world: World): AdminClient {
  return world.client(resolveAdminSocket({ flags: options, env: world.env }))
}
