import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

const root = join(import.meta.dirname, '..')

test('every line of the failure lore names a test that is there', () => {
  const page = readFileSync(join(root, 'docs', 'failure-lore.md'), 'utf8')
  const named = [...page.matchAll(/\| `([^`]+\.ts)`: (.+) \|$/gm)].map(([, file = '', name = '']) => ({ file, name }))
  assert.ok(named.length >= 20, `${named.length} tests are named`)
  const missing = named.filter(({ file, name }) => !existsSync(join(root, file)) || !readFileSync(join(root, file), 'utf8').includes(name))
  assert.deepEqual(missing, [])
})
