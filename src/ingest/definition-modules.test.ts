/** Definitions from anywhere, as their files are now. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { loadDefinition } from './load-definition.ts'

let dir = ''
before(() => {
  dir = mkdtempSync(join(tmpdir(), 'sw-definitions-'))
  mkdirSync(join(dir, 'parts'))
})
after(() => rmSync(dir, { recursive: true }))

const definition = `
import { defineTopic, json } from 'shardwright/topics'
import { everyMs } from './parts/times.ts'

export default defineTopic({
  topic: 'queries',
  version: 1,
  decode: json({ k: 'integer', at: 'integer' }),
  eventTime: (event) => Number(event.at),
  tables: {
    hours: {
      kind: 'coalesced', shardKey: ['k'], key: ['k', 'hour'], bucket: { column: 'hour', everyMs, as: 'ms' }, retentionMs: 8 * everyMs,
      columns: { k: { merge: 'key' }, hour: { merge: 'key' }, n: { merge: 'count' } },
      map: (event) => ({ k: event.k }),
    },
  },
})
`

test('a definition imports shardwright/topics wherever it lies; a file that it imports and that was changed makes it another one, without a restart', async () => {
  const file = join(dir, 'queries.ts')
  writeFileSync(file, definition)
  writeFileSync(join(dir, 'parts', 'times.ts'), "export { everyMs } from './hour.ts'\n")
  writeFileSync(join(dir, 'parts', 'hour.ts'), 'export const everyMs: number = 3_600_000\n')
  const first = await loadDefinition(file)
  assert.equal(first.tables[0]?.bucket?.everyMs, 3_600_000)
  assert.equal((await loadDefinition(file)).digest, first.digest)
  writeFileSync(join(dir, 'parts', 'hour.ts'), 'export const everyMs: number = 1_800_000\n')
  const changed = await loadDefinition(file)
  assert.equal(changed.tables[0]?.bucket?.everyMs, 1_800_000)
  assert.notEqual(changed.digest, first.digest)
})

test('an import that is not there is named', async () => {
  const file = join(dir, 'broken.ts')
  writeFileSync(file, "import { x } from './parts/nowhere.ts'\nexport default x\n")
  await assert.rejects(loadDefinition(file), /nowhere\.ts/)
})
