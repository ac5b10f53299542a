/** The output of `pilotgate config init`. Lines that begin with `#` without a space are ready to use. */
export const STARTER = `# yaml-language-server: $schema=./gateway.schema.json
# For completion in editors, next to this file: pilotgate config schema > gateway.schema.json
# A pilotgate gateway: pilotgate up -c gateway.yaml
# Every key except version is optional. pilotgate config check gateway.yaml checks the file; a running gateway
# reloads it when it changes, and keeps the old configuration if the new one is invalid.
version: 1

# This node, and the rendezvous where it meets others.
#node:
#  hostname: my-gateway             # trusted peers find this node by this name
#  registry: 127.0.0.1:9000         # directory of nodes (TCP)
#  beacon: 127.0.0.1:9001           # public address, hole punching, relay (UDP)
#  trust: [agent-b]                 # request trust, and approve their requests

# Remote ports → local addresses.
#map:
#  - { peer: agent-b, port: 80, local: "127.0.0.1:8080" }
#  - { peer: agent-b, ports: [5432, "8000-8010"] }      # on an address of agent-b's own, 127.77.x.y

# Local services → ports that trusted peers can reach.
#expose:
#  - { name: web, port: 80, target: "127.0.0.1:3000" }
#  - { name: api, port: 443, target: "127.0.0.1:8443", allow: [agent-b] }

# One local port for the HTTP services of all peers: http://agent-b.pilot.localhost:8088/
#http: { listen: "127.0.0.1:8088" }

# SOCKS5 and HTTP CONNECT to every trusted peer by name, and a DNS responder for the names: agent-b.pilot
#proxy: { listen: "127.0.0.1:1080" }
#dns: { listen: "127.0.0.1:5353" }

# Metrics, health checks and a dashboard, without a password: keep it on loopback.
#observe: { listen: "127.0.0.1:9464" }
`
