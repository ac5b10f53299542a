/** `pilotgate exposes`: which local services peers can reach, and which peers. */
import type { Cli } from '../cli.ts'
import { table } from '../text.ts'
import { clientOf, withAdmin, type ReaderOptions } from './reader.ts'

export function addExposes(cli: Cli): void {
  withAdmin(
    cli.add(cli.program, 'exposes', 'list the local services that peers can reach', ['pilotgate exposes']),
  ).action(
    cli.action(async (out, options: ReaderOptions) => {
      const exposes = await clientOf(options, cli.world).exposes()
      if (exposes.length === 0) return out.result(exposes, ['no exposures'])
      const rows = exposes.map((entry) => [
        entry.name,
        String(entry.port),
        entry.target,
        entry.allow.join(', '),
        entry.protocol,
      ])
      out.result(
        exposes,
        table(['NAME', 'PORT', 'TARGET', 'ALLOW', 'PROTOCOL'], rows, (text) => out.bold(text)),
      )
    }),
  )
}
