/** The rendezvous in numbers, in three forms: JSON, Prometheus text, and a page that polls the JSON. */
import type { BeaconCounters } from './beacon/beacon.ts'
import type { RegistryCounters } from './registry/registry.ts'

export interface Status {
  healthy(): boolean // false: the store refuses writes
  counters(): { readonly registry: RegistryCounters; readonly beacon: BeaconCounters }
  connections(): number // to the registry, now
  beaconNodes(): number // node ids the beacon could relay to
}

/** The totals of the reference's `/api/stats`, without its lists of nodes and edges. */
export function statistics(status: Status, uptimeSec: number): object {
  const { registry, beacon } = status.counters()
  return {
    total_nodes: registry.accounts,
    active_nodes: registry.liveNodes,
    total_trust_links: registry.trustPairs,
    total_requests: registry.requests,
    networks: registry.networks,
    connections: status.connections(),
    refusals: registry.refusals,
    rate_limited: registry.rateLimited,
    beacon_nodes: status.beaconNodes(),
    punches: beacon.punches,
    relayed_frames: beacon.relayed,
    relayed_bytes: beacon.relayedBytes,
    uptime_secs: uptimeSec,
  }
}

/** Prometheus text, version 0.0.4. */
export function metrics(status: Status, uptimeSec: number): string {
  const { registry, beacon } = status.counters()
  const lines: string[] = []
  const add = (type: 'gauge' | 'counter', name: string, help: string, value: number): void => {
    lines.push(`# HELP pilotgate_${name} ${help}`, `# TYPE pilotgate_${name} ${type}`, `pilotgate_${name} ${value}`)
  }
  add('gauge', 'healthy', 'Whether the store accepts writes.', status.healthy() ? 1 : 0)
  add('gauge', 'uptime_seconds', 'Since the rendezvous started.', uptimeSec)
  add('gauge', 'registry_nodes', 'Nodes heard from within three minutes.', registry.liveNodes)
  add('gauge', 'registry_accounts', 'Node ids ever assigned.', registry.accounts)
  add('gauge', 'registry_trust_pairs', 'Pairs in which at least one side declared trust.', registry.trustPairs)
  add('gauge', 'registry_networks', 'Networks, not counting the backbone.', registry.networks)
  add('gauge', 'registry_connections', 'TCP connections to the registry.', status.connections())
  add('counter', 'registry_requests_total', 'Requests handled.', registry.requests)
  add('counter', 'registry_refusals_total', 'Requests answered with an error.', registry.refusals)
  add('counter', 'registry_rate_limited_total', 'Requests refused by a rate limit.', registry.rateLimited)
  add('counter', 'registry_reaped_total', 'Nodes removed because they were silent.', registry.reaped)
  add('gauge', 'beacon_nodes', 'Node ids the beacon could relay to.', status.beaconNodes())
  for (const [name, value] of Object.entries(beacon)) {
    add(
      'counter',
      `beacon_${name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}_total`,
      'See src/server/beacon/beacon.ts.',
      value,
    )
  }
  return `${lines.join('\n')}\n`
}

export const STATUS_PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>pilotgate rendezvous</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; margin: 3rem auto; max-width: 34rem; padding: 0 1rem; color: #1b1f24; background: #fff }
  table { border-collapse: collapse; width: 100% }
  td { padding: .3rem 0; border-bottom: 1px solid #d8dee4 }
  td:last-child { text-align: right; font-variant-numeric: tabular-nums }
  @media (prefers-color-scheme: dark) { body { color: #e6edf3; background: #0d1117 } td { border-color: #30363d } }
</style>
<h1>pilotgate rendezvous</h1>
<p id="state">asking…</p>
<table><tbody id="numbers"></tbody></table>
<script>
  const show = async () => {
    const state = document.getElementById('state')
    try {
      const numbers = await (await fetch('api/stats')).json()
      document.getElementById('numbers').replaceChildren(...Object.entries(numbers).map(([name, value]) => {
        const row = document.createElement('tr')
        for (const text of [name.replaceAll('_', ' '), value.toLocaleString()]) row.insertCell().textContent = text
        return row
      }))
      state.textContent = 'up'
    } catch {
      state.textContent = 'does not answer'
    }
    setTimeout(show, 5000)
  }
  show()
</script>
</html>
`
