/** `pilotgate demo`: see demo/. What it needs beyond a gateway is loaded only when it is asked for. */
import type { Cli } from '../cli.ts'

export function addDemo(cli: Cli): void {
  cli
    .add(cli.program, 'demo', 'run a rendezvous and two gateways on this machine, to try', [
      'pilotgate demo',
      'pilotgate demo --check',
    ])
    .option('--check', 'make the requests, say what was verified, and end')
    .action(
      cli.action(async (out, options: { readonly check?: boolean }) => {
        const { runDemo } = await import('../demo/demo.ts')
        return await runDemo(out, cli.world, options.check === true)
      }),
    )
}
