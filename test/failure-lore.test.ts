import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

const root = join(import.meta.dirname, '..')

for (const [page, least] of [
  ['failure-lore.md', 20],
  ['switch-rules.md', 50],
] as const)
  test(`every line of ${page} names a test that is there`, () => {
    const text = readFileSync(join(root, 'docs', page), 'utf8')
    const named = [...text.matchAll(/\| `([^`]+\.ts)`: (.+?)(?: †)? \|$/gm)].map(([, file = '', name = '']) => ({ file, name }))
    assert.ok(named.length >= least, `${named.length} tests are named`)
    const missing = named.filter(
      ({ file, name }) => !existsSync(join(root, file)) || !readFileSync(join(root, file), 'utf8').includes(name),
    )
    assert.deepEqual(missing, [])
  })
