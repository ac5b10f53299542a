/** npm run check: types, lint, architecture, documents and the unit tests; under a minute, to run between edits. */
import { install, script } from './lib.mjs'
import { runSteps } from './steps.mjs'

await script(async () => {
  await install()
  return await runSteps(['types', 'lint', 'format', 'schema', 'architecture', 'documents', 'unit'])
})
