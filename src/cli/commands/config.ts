/** `pilotgate config check FILE`: is it right, without starting anything. */
import { loadConfig } from '../../config/load.ts'
import { resolveOptions } from '../../config/options.ts'
import { formatTarget } from '../../gateway/specs.ts'
import type { Cli } from '../cli.ts'
import { plural } from '../text.ts'

export function addConfig (cli: Cli): void {
  const config = cli.add(cli.program, 'config', 'work with configuration files', ['pilotgate config check gateway.yaml'])
  cli.add(config, 'check <file>', 'check a configuration file; nothing is started', ['pilotgate config check gateway.yaml'])
    .option('--allow-lan', 'allow listeners beyond loopback, as `up --allow-lan` does')
    .action(cli.action(async (out, file: string, flags: { readonly allowLan?: boolean }) => {
      const { HOME, XDG_STATE_HOME } = cli.world.env // not PILOTGATE_*: the file is judged, not this shell
      const options = resolveOptions({ flags, env: { HOME, XDG_STATE_HOME }, file: await loadConfig(file) })
      const maps = options.maps.map(({ name, peer, port, localAddress, localPort }) => ({ name, peer, port, localAddress: localAddress ?? null, localPort }))
      const exposes = options.exposes.map(({ name, port, target, allow }) => ({ name, port, target: formatTarget(target), allow }))
      out.result({ file, maps, exposes }, [`${file} is right: ${plural(maps.length, 'mapping')}, ${plural(exposes.length, 'exposure')}`])
    }))
}
