/** `pilotgate demo`: see demo/. Loaded only when used. */
import type { Cli } from '../cli.ts'

export function addDemo(cli: Cli): void {
  cli
    .add(cli.program, 'demo', 'run a rendezvous and two gateways on this machine, to try pilotgate', [
      'pilotgate demo',
      'pilotgate demo --check',
    ])
    .option('--check', 'make the requests, print the results, and exit')
    .action(
      cli.action(async (out, options: { readonly check?: boolean }) => {
        const { runDemo } = await import('../demo/demo.ts')
        return await runDemo(out, cli.world, options.check === true)
      }),
    )
}
