/** What `pilotgate config init` prints. Lines that begin with `#` and no blank can be taken as they are. */
export const STARTER = `# A pilotgate gateway: pilotgate up -c gateway.yaml
# Every key but version may be left out. pilotgate config check gateway.yaml tests the file; a running gateway
# follows it by itself, and keeps what it had when the file is wrong.
version: 1

# This node, and the rendezvous at which it meets the others.
#node:
#  hostname: my-gateway             # trusted peers find us by this name
#  registry: 127.0.0.1:9000         # who is who (TCP)
#  beacon: 127.0.0.1:9001           # where we are seen, hole punching, relay (UDP)
#  trust: [agent-b]                 # ask them for trust, and approve when they ask

# Remote ports → local addresses.
#map:
#  - { peer: agent-b, port: 80, local: "127.0.0.1:8080" }
#  - { peer: agent-b, ports: [5432, "8000-8010"] }      # on an address of agent-b's own, 127.77.x.y

# Local services → ports that trusted peers can reach.
#expose:
#  - { name: web, port: 80, target: "127.0.0.1:3000" }
#  - { name: api, port: 443, target: "127.0.0.1:8443", allow: [agent-b] }

# Metrics, health and a dashboard, without a password: keep it on loopback.
#observe: { listen: "127.0.0.1:9464" }
`
