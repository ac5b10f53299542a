/** The schema of the file for editors and other programs, as in `config/gateway.schema.json`. */
import { z } from 'zod'
import { Config } from './schema.ts'

export function schemaText(): string {
  const { $schema, ...rest } = z.toJSONSchema(Config, { io: 'input' })
  return `${JSON.stringify({ $schema, title: 'pilotgate gateway configuration', ...rest }, null, 2)}\n`
}
